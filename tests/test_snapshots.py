"""What was confirmed, as plain data: nothing is lost, and no secret is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from strategies import desired_of, fleets

from fleet import keys
from fleet.model import Fleet, Interface, Mark, PublicKey, Secret
from fleet.overlay import resolve_preshared
from fleet.snapshots import dump, load, snapshot_id


@given(fleets())
def test_a_desired_state_comes_back_as_it_was(fleet: Fleet) -> None:
    desired = desired_of(fleet)
    for name in desired.names:
        configuration = dict(desired.configuration(name))
        assert load(dump(configuration)) == configuration
        assert snapshot_id(load(dump(configuration)), fleet.overlay.name) == snapshot_id(configuration, fleet.overlay.name)


@given(fleets())
def test_nothing_that_was_derived_is_in_it(fleet: Fleet) -> None:
    desired = desired_of(fleet)
    for name in desired.names:
        resolved = resolve_preshared(desired.configuration(name), Secret("s" * 44))
        text = dump(resolved)
        found = [peer.preshared_key for interface in resolved.values() for peer in interface.peers.values()]
        assert not [key for key in found if isinstance(key, Secret) and key.reveal() in text]


def test_what_another_version_wrote_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="format 9"):
        load('{"format": 9, "interfaces": []}')


def test_what_is_left_to_others_is_another_configuration() -> None:
    interface = Interface("wg0", PublicKey(keys.public_key_of(keys.new_private_key())), mark=Mark("acme", "hq"))
    other = Interface("wg0", interface.public_key, mark=interface.mark, unmanaged=frozenset({"routes"}))
    assert snapshot_id({"wg0": interface}, "acme") != snapshot_id({"wg0": other}, "acme")
