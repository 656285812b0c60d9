from __future__ import annotations

import pytest

from fleet.errors import PlanRefused, UsageError
from fleet.keys import new_private_key, public_key_of, seal, unseal
from fleet.model import Fact, Secret
from fleet.state import State

from .shared import ONE, A, B, C, at, queries, writes


def test_pinning_one_thing_keeps_the_others(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,), epoch=2)
    state.pin("acme", "mumbai", staged_key=B)
    assert state.facts("acme")["mumbai"] == Fact(A, (ONE,), 2, B)


def test_pinning_nothing_and_keeping_are_two_things(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, staged_key=B)
    state.pin("acme", "mumbai", staged_key=None)
    assert state.facts("acme")["mumbai"] == Fact(A)


def test_pinning_what_is_pinned_writes_nothing(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    with queries() as sent:
        state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
        state.pin_all("acme", {"mumbai": Fact(A, (ONE,))})
    assert writes(sent) == []


def test_many_routers_are_pinned_at_once_or_not_at_all(state: State) -> None:
    state.tombstone("acme", C)
    with pytest.raises(PlanRefused):
        state.pin_all("acme", {"mumbai": Fact(A), "pune": Fact(C)})
    assert state.facts("acme") == {}
    state.pin_all("acme", {"mumbai": Fact(A, (ONE,)), "pune": Fact(B)})
    assert state.facts("acme") == {"mumbai": Fact(A, (ONE,)), "pune": Fact(B)}
    assert state.fact("acme", "mumbai") == Fact(A, (ONE,))
    assert state.fact("acme", "delhi") is None


def test_overlays_do_not_see_each_other(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 AAAA")
    assert state.facts("other") == {}
    assert state.identity("other", "mumbai") == {}


def test_identities_are_kept_by_kind_oldest_first(state: State) -> None:
    for kind, value in (("ssh", "ssh-rsa ZZZZ"), ("ssh", "ssh-ed25519 AAAA"), ("tls", "ab" * 32), ("ssh", "ssh-rsa ZZZZ")):
        state.pin_identity("acme", "mumbai", kind, value)
    assert state.identity("acme", "mumbai") == {"ssh": ("ssh-rsa ZZZZ", "ssh-ed25519 AAAA"), "tls": ("ab" * 32,)}


def test_forgetting_the_host_key_keeps_the_certificate(state: State) -> None:
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 AAAA")
    state.pin_identity("acme", "mumbai", "tls", "ab" * 32)
    state.forget_identity("acme", "mumbai", "ssh")
    assert state.identity("acme", "mumbai") == {"tls": ("ab" * 32,)}


def test_a_revoked_key_can_never_be_pinned_again(state: State) -> None:
    state.tombstone("acme", A, "mumbai")
    with pytest.raises(PlanRefused, match="revoked for ever"):
        state.pin("acme", "pune", public_key=A)
    with pytest.raises(PlanRefused):
        state.pin("acme", "pune", staged_key=A)
    assert state.tombstones("acme") == {A}
    assert state.facts("acme") == {}


def test_revoking_twice_is_revoking(state: State) -> None:
    state.tombstone("acme", A)
    state.tombstone("acme", A)
    assert state.tombstones("acme") == {A}


def test_the_address_of_a_router_that_left_is_held_for_90_days(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.note_present("acme", ["pune"])
    at(state, monkeypatch, 89)
    assert state.held("acme") == {"mumbai": (ONE,)}
    assert set(state.left("acme")) == {"mumbai"}
    at(state, monkeypatch, 91)
    assert state.held("acme") == {}
    assert state.facts("acme") == {}
    assert state.fact("acme", "mumbai") is None


def test_a_router_that_comes_back_has_its_key_and_address(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.note_present("acme", [])
    state.note_present("acme", ["mumbai"])
    at(state, monkeypatch, 1000)
    assert state.facts("acme") == {"mumbai": Fact(A, (ONE,))}
    assert state.left("acme") == {}


def test_the_90_days_begin_once(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.note_present("acme", [])
    began = state.left("acme")["mumbai"]
    at(state, monkeypatch, 30)
    state.note_present("acme", [])
    assert state.left("acme")["mumbai"] == began


def test_the_address_of_a_router_in_the_inventory_is_held_too(state: State) -> None:
    state.pin("acme", "mumbai", addresses=(ONE,))
    assert state.held("acme") == {"mumbai": (ONE,)}


def test_a_forgotten_router_is_gone_with_its_address_and_keeps_its_tombstones(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 AAAA")
    state.put_escrow("acme", "mumbai", b"sealed", A)
    state.set_confirmed("acme", "mumbai", fingerprint="f", objects={})
    state.tombstone("acme", B, "mumbai")
    state.forget("acme", "mumbai")
    assert (state.facts("acme"), state.identity("acme", "mumbai"), state.held("acme")) == ({}, {}, {})
    assert (state.get_escrow("acme", "mumbai"), state.confirmed("acme", "mumbai")) == (None, None)
    assert state.tombstones("acme") == {B}


def test_a_renamed_router_keeps_all_that_is_known_of_it(state: State) -> None:
    state.pin("acme", "bombay", public_key=A, addresses=(ONE,), epoch=1)
    state.pin_identity("acme", "bombay", "ssh", "ssh-ed25519 AAAA")
    state.set_confirmed("acme", "bombay", fingerprint="f", objects={"wg0": "1"}, version="7.18")
    state.rename("acme", "bombay", "mumbai")
    assert state.facts("acme") == {"mumbai": Fact(A, (ONE,), 1)}
    assert state.identity("acme", "mumbai") == {"ssh": ("ssh-ed25519 AAAA",)}
    confirmed = state.confirmed("acme", "mumbai")
    assert confirmed is not None
    assert confirmed.version == "7.18"


def test_the_escrowed_key_of_a_renamed_router_can_still_be_opened(state: State) -> None:
    fleet_secret, private_key = Secret("fleet secret"), new_private_key()
    state.pin("acme", "bombay", public_key=public_key_of(private_key))
    state.put_escrow("acme", "bombay", seal(fleet_secret, "bombay", private_key), public_key_of(private_key))
    state.rename("acme", "bombay", "mumbai")
    escrow = state.get_escrow("acme", "mumbai")
    assert escrow is not None
    assert unseal(fleet_secret, escrow.sealed_as, escrow.sealed) == private_key


def test_renaming_onto_a_known_router_is_refused(state: State) -> None:
    state.pin("acme", "bombay", public_key=A)
    state.pin("acme", "mumbai", public_key=B)
    with pytest.raises(UsageError, match="known already"):
        state.rename("acme", "bombay", "mumbai")
    assert state.facts("acme") == {"bombay": Fact(A), "mumbai": Fact(B)}


def test_renaming_a_router_that_is_not_known_writes_nothing(state: State) -> None:
    with queries() as sent:
        state.rename("acme", "bombay", "mumbai")
    assert writes(sent) == []


def test_what_was_accepted_under_the_old_name_counts_more_than_a_first_contact_under_the_new_one(state: State) -> None:
    state.pin("acme", "bombay", public_key=A)
    state.pin_identity("acme", "bombay", "ssh", "ssh-ed25519 AAAA")
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 AAAA")
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 BBBB")
    state.pin_identity("acme", "mumbai", "tls", "ab" * 32)
    state.rename("acme", "bombay", "mumbai")
    assert state.identities("acme") == {"mumbai": {"ssh": ("ssh-ed25519 AAAA",), "tls": ("ab" * 32,)}}
