"""Going on with a run that stopped: what it did not begin, who failed in it and is left out, which kinds it has proven.

A run that stops writes one line of phase `stopped` into the journal, with the routers it did not begin. Later runs count: who
came through since is not left out any more, and a stopped run of which nothing is left to do is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from .state.journal import Entry, RunRecord

STOPPED: Final = "stopped"
LEFT_OUT: Final = "left out"
NOT_BEGUN: Final = "not begun"
"""Phases of the journal, and the key in the detail of the first."""

GOOD: Final = frozenset({"changed", "in sync", "waiting"})
BAD: Final = frozenset({"failed", "rolled back", LEFT_OUT})

LOOK_BACK: Final = 50
"""How many runs back a stopped one is looked for: nobody means one from last month."""


class History(Protocol):
    """The part of the state that remembers runs."""

    def history(self, overlay: str, *, limit: int | None = None) -> Sequence[RunRecord]:
        """Runs, newest first."""

    def journal(self, run_id: str) -> Sequence[Entry]:
        """Everything a run wrote down, in order."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A run that stopped and what has become of its routers since.

    `failed` holds the outcome (`failed`, `rolled back`) and the run of every router that is left out, `proven` those that came
    through, `due` those that nobody has begun yet.
    """

    run: str
    failed: Mapping[str, tuple[str, str]]
    proven: frozenset[str]
    due: frozenset[str]


def last_stopped(state: History, overlay: str, current: str) -> Stopped | None:
    """The newest sync that stopped and of which something is left to do, None if there is none. `current` is this run's id."""
    newest: dict[str, tuple[str, str]] = {}
    for record in state.history(overlay, limit=LOOK_BACK):
        if record.command != "sync" or record.id == current:
            continue
        entries = state.journal(record.id)
        for name, said in _outcomes(entries, record.id).items():
            newest.setdefault(name, said)
        stop = next((entry for entry in entries if entry.phase == STOPPED), None)
        if stop is not None:
            return _stopped(record.id, stop, newest)
    return None


def _outcomes(entries: Sequence[Entry], run: str) -> dict[str, tuple[str, str]]:
    """What became of each router in one run, and the run in which it did: for one left out, that is an earlier run."""
    found = {entry.router: (entry.text, run) for entry in entries if entry.phase == "outcome" and entry.text in GOOD | BAD}
    for entry in entries:
        if entry.phase == LEFT_OUT and entry.detail is not None:
            found[entry.router] = (str(entry.detail["outcome"]), str(entry.detail["run"]))
    return found


def _stopped(run: str, stop: Entry, newest: Mapping[str, tuple[str, str]]) -> Stopped | None:
    listed = (stop.detail or {}).get(NOT_BEGUN)
    proven = frozenset(name for name, (outcome, _) in newest.items() if outcome in GOOD)
    due = frozenset(map(str, listed)) - proven if isinstance(listed, list) else frozenset()
    failed = {name: said for name, said in newest.items() if said[0] in BAD}
    return Stopped(run, failed, proven, due) if due else None
