"""The armed undo: two scheduler entries with one script.

One fires when the window has passed, first one interval after it was added (sheet 5.3). The other fires when the router has
booted, so that a power cut undoes at once and whatever the clock says: entries follow the local time, and a board without a
clock of its own wakes up in the past. Unverified: that the first one, too, fires again an interval after a boot; that
neither the number of entries nor the length of a script has a limit below `LONGEST`; that adding an entry needs no policy
beyond the listed ones. Where it does, arming is refused and nothing else was sent.

Both carry `MARK guard TAG` as comment. Rules made under the guard carry the tag, too, and keep it: it is the run that
`fleet history` shows. It tells them apart from the rules that stood before, which may say word for word the same (one that
is replaced because it stands too low).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ... import GuardSeen, Mark, RouterPlan, Step, Words
from ...errors import Unsupported
from .resolve import MENU
from .values import Row, is_yes, parse_clock

POLICY: Final = "read,write"

LONGEST: Final = 30_000
"""Characters of a script that are trusted to fit into an entry; the true limit is not documented."""

_BOOT: Final = "-boot"
_TAG: Final = re.compile(r" guard (run:\S+)")


def entry_name(overlay: str, plan_id: str) -> str:
    """The entry that fires at the deadline."""
    return f"fleet-guard-{overlay}-{plan_id}"


def comment_of(mark: Mark, tag: str) -> str:
    """The comment of both entries."""
    return f"{mark} guard {tag}"


def tag_of(row: Row) -> str | None:
    """The tag of a guard, None if the row is none."""
    seen = _TAG.search(row.get("comment", ""))
    return seen[1] if seen else None


def armed_in(rows: Iterable[Row], overlay: str) -> dict[str, tuple[Row, ...]]:
    """The rows of every guard of this overlay by plan id, the one of the deadline first."""
    start = entry_name(overlay, "")
    seen: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.get("name", "").endswith(_BOOT)):
        mark = Mark.find(row.get("comment", ""))
        name = row.get("name", "")
        if mark is not None and mark.overlay == overlay and name.startswith(start) and tag_of(row) is not None:
            seen.setdefault(name.removeprefix(start).removesuffix(_BOOT), []).append(row)
    return {plan_id: tuple(each) for plan_id, each in seen.items()}


def seen(armed: Mapping[str, tuple[Row, ...]], clock: Row) -> GuardSeen | None:
    """What the core is told of the first guard found."""
    for plan_id, rows in armed.items():
        return GuardSeen(plan_id, _fires_in(rows[0], clock))
    return None


def _fires_in(row: Row, clock: Row) -> float | None:
    """Seconds until `next-run`, both by the router's local time; None if there is none or it cannot be read."""
    date, _, time = row.get("next-run", "").partition(" ")
    if is_yes(row, "disabled") or not time:  # before 7.10 perhaps the time alone (unverified)
        return None
    fires, now = parse_clock({"date": date, "time": time}), parse_clock({**clock, "gmt-offset": ""})
    return None if fires is None or now is None else max(0.0, fires - now)


def free_tag(plan_id: str, comments: Iterable[str]) -> str:
    """A tag that no comment carries yet: a run may be armed more than once."""
    taken = {tag for comment in comments for tag in re.findall(r"run:\S+", comment)}
    tag, number = f"run:{plan_id}", 1
    while tag in taken:
        number += 1
        tag = f"run:{plan_id}.{number}"
    return tag


def arm(plan: RouterPlan, mark: Mark, tag: str, script: str, kept: Sequence[str]) -> Step:
    """The step that arms. `kept` names what the undo would leave as written. Raises Unsupported for too long a script."""
    if len(script) > LONGEST:
        raise Unsupported(
            f"{plan.target.router}: the undo of {len(plan.changes)} changes would be a script of {len(script)} characters, "
            f"more than the {LONGEST} that fit into a scheduler entry",
            "nothing was written; sync fewer of its peers at a time: `fleet sync NAME...`",
        )
    name = entry_name(plan.target.overlay, plan.plan_id)
    shared = (("on-event", script), ("policy", POLICY), ("comment", comment_of(mark, tag)))
    adds = (
        Words(f"{MENU}/add", (("name", name), ("interval", f"{plan.confirm_within}s"), *shared)),
        Words(f"{MENU}/add", (("name", name + _BOOT), ("start-time", "startup"), ("interval", "0s"), *shared)),
    )
    left = f"; it would leave {', '.join(kept)}" if kept else ""
    return Step(f"arm the undo: in {plan.confirm_within} s, or when the router boots{left}", adds)


def disarm(overlay: str, plan_id: str, rows: Sequence[Row]) -> tuple[Words, ...]:
    """Remove the entries. Refused (`no such item`) if the undo has removed them, that is, has run."""
    name = entry_name(overlay, plan_id)
    named = ",".join(row[".id"] for row in rows) or f"{name},{name}{_BOOT}"
    return (Words(f"{MENU}/remove", ((".id", named),)),)


def trip(overlay: str, plan_id: str, rows: Sequence[Row]) -> tuple[Words, ...]:
    """Run the script of the entry now; if it was not shown, let the entry fire within a second."""
    if rows and rows[0].get("on-event"):
        return (Words("/execute", (("script", rows[0]["on-event"]),)),)
    named = rows[0][".id"] if rows else entry_name(overlay, plan_id)
    return (Words(f"{MENU}/set", ((".id", named), ("interval", "1s"))),)
