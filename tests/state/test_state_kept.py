from __future__ import annotations

import datetime as dt
from pathlib import Path

from fleet.keys import new_private_key, public_key_of, seal
from fleet.model import Secret
from fleet.state import State, open_state

from .shared import A, B, C


def test_the_newest_escrowed_key_is_given_unless_one_is_asked_for(state: State) -> None:
    state.put_escrow("acme", "hq", b"first", A)
    state.put_escrow("acme", "hq", b"second", B)
    newest, asked = state.get_escrow("acme", "hq"), state.get_escrow("acme", "hq", A)
    assert newest is not None
    assert (newest.public_key, newest.sealed) == (B, b"second")
    assert asked is not None
    assert (asked.public_key, asked.sealed) == (A, b"first")
    assert state.get_escrow("acme", "hq", C) is None


def test_no_private_key_stands_in_the_file_of_the_state(tmp_path: Path) -> None:
    private_key, place = new_private_key(), tmp_path / "state.db"
    with open_state(place) as state:
        state.put_escrow("acme", "hq", seal(Secret("fleet secret"), "hq", private_key), public_key_of(private_key))
    assert private_key.reveal().encode() not in place.read_bytes()


def test_the_last_confirmed_sync_is_what_counts(state: State) -> None:
    state.set_confirmed("acme", "mumbai", fingerprint="one", objects={"wg0": "1"}, version="7.17")
    state.set_confirmed("acme", "mumbai", fingerprint="two", objects={"wg0": "2"}, version="7.18")
    confirmed = state.confirmed("acme", "mumbai")
    assert confirmed is not None
    assert (confirmed.fingerprint, dict(confirmed.objects), confirmed.version) == ("two", {"wg0": "2"}, "7.18")
    assert abs(confirmed.at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
