"""Peers: created ones go, changed ones are set back, disabled ones get their allowed IPs and are enabled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from .... import AddPeer, Change, RemovePeer, SetPeer
from ....model import IPNetwork, PublicKey
from ....parking import parking_place
from ..read import PEERS
from ..script import equal, one_of_keys
from ..values import is_yes, join_networks, parse_networks, yes
from .lines import Lines

Held: TypeAlias = "tuple[str, PublicKey]"
"""A peer by interface and key."""

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "allowed_ips": {"allowed-address": ""},
    "endpoint": {"endpoint-address": "", "endpoint-port": "0"},
    "persistent_keepalive": {"persistent-keepalive": "0"},
    "mark": {"comment": ""},
    "disabled": {"disabled": "no"},
    "preshared_key": {"preshared-key": ""},
}
"""Words by attribute of a peer, each with what it is set to if it was absent (sheet 3.2)."""


def undo(lines: Lines, changes: Sequence[Change]) -> None:
    """Undo what the plan does to peers of interfaces that were there before."""
    created: dict[str, list[PublicKey]] = {}
    touched: dict[Held, dict[str, str]] = {}
    for change in changes:
        match change:
            case AddPeer():
                if (change.interface, change.wanted.public_key) not in lines.native.peers:
                    created.setdefault(change.interface, []).append(change.wanted.public_key)
            case SetPeer():
                _note(lines, touched, (change.interface, change.wanted.public_key), _undone(change))
            case RemovePeer():
                _note(lines, touched, (change.interface, change.old.public_key), ("allowed_ips", "disabled"))
            case _:
                pass
    for interface, keys in created.items():
        for condition in one_of_keys(keys):
            lines.remove(PEERS, equal("interface", interface), condition, lines.ours)
    _narrow(lines, touched, changes)
    _set_back(lines, touched)


def leaves_key(change: SetPeer) -> bool:
    """True if the preshared key cannot be set back: there was one, and the script must not hold it."""
    return "preshared_key" in change.differing and change.old.preshared_key is not None


def _undone(change: SetPeer) -> list[str]:
    """Attributes to set back. A mark says for which key the preshared key was written: it stays where that one stays."""
    left = {"preshared_key", "mark"} if leaves_key(change) else set()
    return sorted(change.differing - left)


def _note(lines: Lines, touched: dict[Held, dict[str, str]], held: Held, attributes: Iterable[str]) -> None:
    """What the words of these attributes were. A peer that was not there has nothing to set back."""
    row = lines.native.peers.get(held, {})
    back = touched.setdefault(held, {})
    for attribute in attributes if row else ():
        for word, absent in _WORDS.get(attribute, {}).items():
            back[word] = yes(is_yes(row, word)) if word == "disabled" else row.get(word) or absent


def _narrow(lines: Lines, touched: Mapping[Held, Mapping[str, str]], changes: Sequence[Change]) -> None:
    """A peer that took what another one had gives it up before that one gets it back: swaps, too."""
    had = {
        (interface, prefix): key
        for (interface, key), back in touched.items()
        for prefix in parse_networks(back.get("allowed-address", ""))
    }
    for change in changes:
        if not isinstance(change, SetPeer):
            continue
        interface, key = held = change.interface, change.wanted.public_key
        before = parse_networks(touched[held].get("allowed-address", ""))
        if before and any(had.get((interface, prefix), key) != key for prefix in change.wanted.allowed_ips - before):
            rest = before & change.wanted.allowed_ips or frozenset({_place(lines, interface, key)})
            attributes = (("allowed-address", join_networks(rest)),)
            lines.narrow(PEERS, attributes, equal("interface", interface), equal("public-key", key))


def _place(lines: Lines, interface: str, key: PublicKey) -> IPNetwork:
    return parking_place(key, lines.native.allowed(interface))


def _set_back(lines: Lines, touched: Mapping[Held, Mapping[str, str]]) -> None:
    alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[PublicKey]] = {}
    for (interface, key), back in touched.items():
        if back:
            alike.setdefault((interface, tuple(back.items())), []).append(key)
    for (interface, attributes), keys in alike.items():
        for condition in one_of_keys(keys):
            lines.set(PEERS, attributes, equal("interface", interface), condition)
