"""What tests and the contract suite ask of a simulated router: time, writes, strangers, what others could see."""

from __future__ import annotations

import time
from collections import deque

from ._agenda import Agenda
from ._files import SPIED
from ._flash import signature
from ._processes import leaves
from ._shell import Shell
from ._strangers import Strangers


class Bench(Shell):
    """The half of a router that is on the bench. `strangers` knows what is whose."""

    strangers: Strangers
    flash_commits: int
    syslog: deque[str]

    def _prepare_bench(self) -> None:
        """What must be there before the first boot."""
        self._planted, self._writes, self._seen_state = False, 0, object()
        self.flash_commits = 0
        self.agenda = Agenda(lambda: self.timers, lambda: self.clock)

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until nothing is due and nothing runs but what sleeps."""
        deadline, quiet = time.monotonic() + seconds, 0
        while quiet < 2 and time.monotonic() < deadline:
            quiet = quiet + 1 if self._is_quiet() else 0
            time.sleep(0.03)

    def _is_quiet(self) -> bool:
        if self.agenda.busy("setup", "renew", "reload"):
            return False
        return leaves(str(self.root_path)) <= self.sleepers

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due in it has run on return. Timers that sleep must have begun to."""
        self.settle()
        self.clock.advance(seconds)
        self._show_uptime()
        time.sleep(0.03)
        self.settle()

    def state(self) -> object:
        """Flash, staged edits and everything that runs, as a comparable value."""
        staged = [(path.name, path.read_bytes()) for path in sorted((self.root_path / "tmp/.uci").glob("*"))]
        seen = self.snapshot()
        return signature(self.root_path), staged, seen.ruleset, seen.devices, seen.routes, seen.sysctls

    def writes(self) -> int:
        """How many times something was found written since the router was made: flash, staging area, kernel."""
        state = self.state()
        if state != self._seen_state:
            self._seen_state = state
            self._writes += 1
        return self._writes + self.flash_commits

    def exposed(self) -> str:
        """Commands that came by SSH, arguments of every stand-in (with `spy` of every applet too), and the system log."""
        said = [" ".join((run.name, *run.argv)) for run in self.invocations]
        spied = self.root_path / SPIED
        return "\n".join([*self._execs, *said, spied.read_text(errors="replace") if spied.exists() else "", *self.syslog])

    def plant(self, interface: str) -> None:
        """Somebody else's peer in this interface, and things of every other kind beside it."""
        self.strangers.plant(interface)
        self._planted = True

    def foreign(self) -> object:
        """Everything that is not fleet's, comparable, byte for byte where it has bytes."""
        return self.strangers.foreign()

    def ours(self) -> object:
        """Everything that is fleet's, comparable, without what differs between two routers in one state."""
        return self.strangers.ours()

    def stage(self, *lines: str) -> None:
        """Somebody else's uncommitted edits: lines as for `uci batch`, `set network.lan.metric='3'`."""
        self.ok("uci batch", "".join(f"{line}\n" for line in lines).encode())
