"""Interfaces, their scheduler entries and addresses."""

from __future__ import annotations

from .... import AddAddress, Change, RemoveAddress, RemoveInterface, SetInterface
from ....model import IPInterface
from .. import resolve
from ..read import ADDRESSES, INTERFACES, PEERS, ROUTES
from ..script import equal
from ..values import Row, is_yes, yes
from .lines import Lines


def unmake(lines: Lines, name: str) -> None:
    """An interface that the plan makes goes with everything inside it; its rules go by their tag."""
    inside = equal("interface", name)
    lines.remove(PEERS, inside)
    for menu in lines.native.menus.intersection(ADDRESSES.values()):
        lines.remove(menu, inside)
    for menu in lines.native.menus.intersection(ROUTES.values()):
        lines.remove(menu, equal("gateway", name), lines.ours)
    lines.remove(resolve.MENU, equal("name", resolve.entry_name(lines.mark.overlay, name)))
    lines.remove(INTERFACES, equal("name", name), lines.ours)


def undo(lines: Lines, change: Change) -> None:
    """Undo one change of an interface that was there before."""
    row = lines.native.interfaces.get(change.interface)
    match change:
        case SetInterface() if row is not None:
            _set_back(lines, change, row)
        case RemoveInterface() if row is not None:
            if not is_yes(row, "disabled"):
                lines.enable(INTERFACES, equal("name", change.interface))
            for address, _row in lines.native.addresses.get(change.interface, ()):
                _revive(lines, change.interface, address)
            _scheduler(lines, change.interface)
        case AddAddress():
            _added(lines, change.interface, change.address)
        case RemoveAddress():
            _revive(lines, change.interface, change.address)
        case _:
            pass


def _set_back(lines: Lines, change: SetInterface, row: Row) -> None:
    old, wanted = change.old, change.wanted
    back = [("listen-port", row.get("listen-port", ""))] if old.listen_port != wanted.listen_port else []
    back += [("mtu", row.get("mtu", ""))] if old.mtu != wanted.mtu else []
    back += [("comment", row.get("comment", ""))] if old.mark != wanted.mark else []
    back += [("disabled", yes(is_yes(row, "disabled")))] if old.disabled != wanted.disabled else []
    if back:
        lines.set(INTERFACES, back, equal("name", change.interface))
    if old.reresolve != wanted.reresolve:
        _scheduler(lines, change.interface)


def _scheduler(lines: Lines, interface: str) -> None:
    row = lines.native.schedulers.get(interface)
    if row is None:
        lines.remove(resolve.MENU, equal("name", resolve.entry_name(lines.mark.overlay, interface)), lines.ours)
        return
    # One that did what we would write is only ever enabled or disabled; another was repaired and is set back word by word.
    words = [] if resolve.says(row, interface) else [(name, row[name]) for name in resolve.KEPT if name in row]
    lines.set(resolve.MENU, [*words, ("disabled", yes(is_yes(row, "disabled")))], equal("name", row.get("name", "")))


def _rows(lines: Lines, interface: str, address: IPInterface) -> list[Row]:
    return [row for each, row in lines.native.addresses.get(interface, ()) if each == address]


def _added(lines: Lines, interface: str, address: IPInterface) -> None:
    menu = ADDRESSES[address.version]
    rows = _rows(lines, interface, address)
    if not rows:
        # Unverified: that an IPv6 address is shown as it was sent, in its shortest form.
        lines.remove(menu, equal("address", str(address)), equal("interface", interface), lines.ours)
    for row in rows[:1]:
        back = (("disabled", yes(is_yes(row, "disabled"))), ("comment", row.get("comment", "")))
        lines.set(menu, back, equal("address", row["address"]), equal("interface", interface))


def _revive(lines: Lines, interface: str, address: IPInterface) -> None:
    for row in _rows(lines, interface, address):
        if not is_yes(row, "disabled"):
            back = (("disabled", "no"), ("comment", row.get("comment", "")))
            lines.set(ADDRESSES[address.version], back, equal("address", row["address"]), equal("interface", interface))
