"""Changes of openings as lines of `uci batch` on the package firewall."""

from __future__ import annotations

from ...changes import AddOpening, RemoveInterface, RemoveOpening, SetOpening
from ...model import ClampMss, Opening
from . import uci
from .draft import Draft
from .openings import Zones, rule_lines, rule_section, zone_lines, zone_name


def take_openings(draft: Draft) -> None:
    """Rules of the openings that change, then the zone as all interfaces of the overlay need it."""
    changes = [c for c in draft.plan.changes if isinstance(c, AddOpening | SetOpening | RemoveOpening | RemoveInterface)]
    if not changes:
        return
    firewall = draft.native.firewall
    options = draft.plan.target.options
    zones = Zones(
        zone_name(draft.overlay, firewall), str(getattr(options, "lan_zone", "lan")), str(getattr(options, "wan_zone", "wan"))
    )
    final: dict[str, dict[str, Opening]] = {
        name: dict(interface.openings)
        for name, interface in draft.observed.stored.items()
        if interface.mark is not None and interface.mark.overlay == draft.overlay
    }
    for change in changes:
        held = final.setdefault(change.interface, {})
        if isinstance(change, RemoveInterface):
            for opening in held.values():
                _remove(opening, change.interface, draft)
            held.clear()
        elif isinstance(change, RemoveOpening):
            held.pop(change.old.identity, None)
            _remove(change.old, change.interface, draft)
        else:
            held[change.wanted.identity] = change.wanted
            _write(change.wanted, change.interface, zones, draft)
    lines, touched = zone_lines(draft.overlay, final, firewall, draft.mark, zones.tunnel)
    draft.add(*lines)
    for section in touched:
        draft.touch(section, "firewall")


def _write(opening: Opening, interface: str, zones: Zones, draft: Draft) -> None:
    section = rule_section(draft.overlay, interface, opening)
    if section is not None:
        present = section in draft.native.firewall
        draft.touch(section, "firewall")
        draft.add(*rule_lines(opening, section, draft.mark, zones, present))
    if isinstance(opening, ClampMss):
        # fw4 clamps to the MTU of the route, whatever it is; for what it was asked stands with the interface.
        draft.touch(interface)
        draft.add(*uci.set_(f"network.{interface}.fleet_mss", str(opening.mtu)))


def _remove(opening: Opening, interface: str, draft: Draft) -> None:
    section = rule_section(draft.overlay, interface, opening)
    if section is not None and section in draft.native.firewall:
        draft.touch(section, "firewall")
        draft.add(*uci.delete(f"firewall.{section}"))
    if isinstance(opening, ClampMss) and f"network.{interface}" in draft.touched and draft.section(interface) is None:
        return
    if isinstance(opening, ClampMss) and interface in draft.plan.desired:
        draft.delete(interface, "fleet_mss")
