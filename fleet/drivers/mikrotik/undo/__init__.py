"""The script that undoes one plan: from whatever part of it has landed to exactly what the read before it showed.

It names our objects by what they are (interface and public key; address and interface; prefix, gateway and mark; rule comment),
never by `.id`, which a reboot may change (sheet 4). What the plan creates is removed, what goes was only disabled and is
enabled, what changes is set back. What is released comes first, what is claimed after it, as on the way there. Each step
tolerates that another failed, or that there is nothing to undo. No secret is in it: anybody may read scheduler entries.

lines.py       the script while it grows
interfaces.py  interfaces, their scheduler entries and addresses
peers.py       peers
routes.py      routes
openings.py    firewall rules
"""

from __future__ import annotations

from .... import AddInterface, Mark, RouterPlan, SetPeer
from .. import guard
from ..meaning import Native
from ..resolve import MENU
from ..script import attempt, equal, found, quoted
from . import interfaces, openings, peers, routes
from .lines import Lines


def script_for(plan: RouterPlan, native: Native, mark: Mark, tag: str) -> str:
    """The whole text. If its own entries are gone, the change was confirmed in the last moment, and it does nothing."""
    lines = Lines(mark, tag, native)
    made = {change.interface for change in plan.changes if isinstance(change, AddInterface)} - set(native.interfaces)
    for name in sorted(made):
        interfaces.unmake(lines, name)
    changes = [change for change in plan.changes if change.interface not in made]
    for change in changes:
        interfaces.undo(lines, change)
    peers.undo(lines, changes)
    routes.undo(lines, changes)
    openings.undo(lines, plan)
    own = equal("comment", guard.comment_of(mark, tag))
    return "\n".join(
        (
            f":if ([:len [{MENU}/find where {own}]] > 0) do={{",
            attempt(f"{MENU}/remove {found(own)}"),
            f":log info {quoted(f'fleet: {plan.plan_id} was not confirmed, undoing it')}",
            *lines.release,
            *lines.restore,
            ':log info "fleet: undone"',
            "}",
        )
    )


def kept(plan: RouterPlan) -> list[str]:
    """What the undo leaves as the plan wrote it: preshared keys that were set before, which no script may show."""
    return [
        f"the preshared key of {change.wanted.label}"
        for change in plan.changes
        if isinstance(change, SetPeer) and peers.leaves_key(change)
    ]
