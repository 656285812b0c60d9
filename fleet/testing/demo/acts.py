"""The story: what is shown, and what must come true for it to go on."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType

from .branches import PASSWORD
from .fold import ANSI, Blocks, First
from .network import BRANCHES, HUB, LATE, OFFLINE, Network, vendors
from .screen import Screen
from .shell import Shell

PAIRS = (("mumbai", "pune"), ("goa", "delhi"))
VICTIM = "pune"
FEW = 4
"""Lines shown of what a command says to the person while it works."""
ALL = 10_000


SIMULATED = (
    "the routers, and the Internet between them: no packet left this machine, and WireGuard encrypted none. "
    f"Here a lost session is noticed after {LATE:.0f} s; WireGuard takes up to 15 s."
)


class Disappointed(Exception):
    """Something did not happen as the demo promises; the text says what was expected and what was seen."""


class Demo:
    """One showing: `with Demo(screen) as demo: demo.play()`. `full` shows every line of every report."""

    def __init__(self, screen: Screen | None = None, *, full: bool = False) -> None:
        self.screen = screen or Screen()
        self._full = full
        self._began = time.monotonic()
        self._commands = 0

    def __enter__(self) -> Demo:
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-demo-"))
        try:
            self.network = Network().__enter__()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        width = self.screen.console.width if self.screen.console.is_terminal else None
        self._shell = Shell(self.folder, PASSWORD, width=width)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.network.__exit__(kind, error, trace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def play(self) -> None:
        """All acts. Raises Disappointed."""
        self.opening()
        self.inventory()
        self.plan()
        self.sync()
        self.late_router()
        self.nothing_left()
        self.status()
        self.drift()
        self.heal()
        self.ending()

    # --------------------------------------------------------------------------------------------------- acts
    def opening(self) -> None:
        """Who is on stage, and that it is a stage."""
        screen = self.screen
        screen.title("fleet: a demo on simulated routers")
        screen.say(
            f"{len(BRANCHES) + 1} routers are simulated on this machine: a Linux hub with a strict firewall, and "
            f"{vendors()} branches behind carrier-grade NAT, each with another release of its software. They speak the "
            "real protocols of their vendors on sockets of 127.0.0.1. The fleet commands below are the real ones."
        )

    def inventory(self) -> None:
        """The one file, and `check`."""
        text = self.network.inventory
        (self.folder / "inventory").mkdir()
        (self.folder / "inventory/acme.yaml").write_text(text)
        self.screen.act("One file", "This is everything an operator writes: inventory/acme.yaml.")
        self.screen.yaml(text)
        self.screen.blank()
        self.screen.say("`check` validates it without contacting anything, and shows the network on one page.")
        self.screen.blank()
        self.fleet("check", "--table", exits=0)

    def plan(self) -> None:
        """The first plan, on empty routers."""
        self.screen.act(
            "Plan", f"`plan` reads every router and shows what is missing. {OFFLINE} has no power yet. Nothing is written."
        )
        said = self.fleet("plan", exits=2, whole=2, lines=6)
        self.expect("pending" in said, f"{OFFLINE} is reported as pending", "and stops nobody else")
        self.screen.blank()
        self.pings(arrive=False)

    def sync(self) -> None:
        """From nothing to a network."""
        self.screen.act(
            "Sync",
            "`sync` arms every router to undo the change by itself, writes hubs before branches, reads again on new "
            f"connections, waits for handshakes, and only then confirms. Exit 6: done, except for {OFFLINE}.",
        )
        self.fleet("sync", "--yes", exits=6, whole=0, lines=0)
        self.screen.blank()
        self.pings(arrive=True)

    def late_router(self) -> None:
        """A branch that comes up later."""
        self.screen.act(
            "A late router", f"{OFFLINE} gets power. The next sync picks it up; of the others only the hub is written."
        )
        self.network.branches[OFFLINE].set_offline(False)
        before = self.network.writes(but=OFFLINE)
        self.fleet("sync", "--yes", exits=0, whole=1, lines=3)
        self.screen.blank()
        self.pings(("mumbai", OFFLINE), arrive=True)
        self.expect(
            before == self.network.writes(but=OFFLINE), "the other branches took no write", "the hub alone learned a peer"
        )

    def nothing_left(self) -> None:
        """Once it is in sync, nothing is written."""
        self.screen.act("In sync", "Another plan finds nothing: exit 0. Another sync writes nothing. Put both in cron or CI.")
        before = self.network.writes(), self.network.hub.snapshot().files
        self.fleet("plan", exits=0)
        self.fleet("sync", "--yes", exits=0)
        after = self.network.writes(), self.network.hub.snapshot().files
        self.expect(before == after, "nothing was written", "the hub's files and the branches' write counters did not move")

    def status(self) -> None:
        """What the hub knows about everybody."""
        self.screen.act("Status", "One read of the hub tells about every branch.")
        self.fleet("status", exits=0)

    def drift(self) -> None:
        """Somebody works on the hub by hand."""
        self.screen.act(
            "Drift",
            f"Behind fleet's back the demo now works on {HUB} by hand, as a colleague might: it deletes {VICTIM}'s peer and "
            "adds a notebook. The inventory did not change, so `plan` calls the difference drift: exit 2.",
        )
        for command in self.network.tamper(VICTIM):
            self.screen.by_hand(HUB, command)
        said = self.fleet("plan", exits=2)
        self.screen.blank()
        self.pings(arrive=None)
        self.expect("drift" in said and VICTIM in said, "the plan names the drift", f"and wants {VICTIM}'s peer back")
        cut, lives = (self.network.ping(*pair).stopped for pair in PAIRS)
        self.expect(bool(cut) and not lives, f"{VICTIM} is cut off", "the others are not")

    def heal(self) -> None:
        """Sync puts back what is ours and leaves the rest."""
        self.screen.act("Heal", "`sync` puts back what is ours and leaves alone what is not.")
        self.fleet("sync", "--yes", exits=0)
        self.fleet("status", exits=0)
        self.screen.blank()
        self.pings(arrive=True)
        kept = self.network.notebook in self.network.peers()
        self.expect(kept, "the notebook's peer is still there", "fleet does not touch what it did not make")

    def ending(self) -> None:
        """What was real, what was not, how to go on."""
        screen = self.screen
        screen.blank()
        screen.title(f"{self._commands} commands in {time.monotonic() - self._began:.0f} s, everything as promised")
        screen.facts(
            [
                ("real", "the fleet commands and their exit codes; the files, shell scripts, API and SSH connections"),
                ("simulated", SIMULATED),
                ("left behind", "nothing: the temporary folder goes with the routers"),
                ("real tunnels", "`make test`, as root on Linux, builds a network of namespaces and proves it with pings"),
                ("your routers", 'README.md, "Five minutes to the first real routers"'),
            ]
        )

    # ------------------------------------------------------------------------------------------------ helpers
    def fleet(self, *arguments: str, exits: int, whole: int = ALL, lines: int = ALL) -> str:
        """Run one command in sight; what it printed, without colours. Raises Disappointed for another exit code."""
        self._commands += 1
        self.screen.prompt(" ".join(["fleet", *arguments]))
        said: list[str] = []
        screen = self.screen
        whole, lines, few = (ALL, ALL, ALL) if self._full else (whole, lines, FEW)
        report = Blocks(screen.line, screen.aside, whole=whole, lines=lines)
        asides = First(screen.aside, screen.aside, few)

        def show(text: str, aside: bool) -> None:
            said.append(ANSI.sub("", text))
            if aside:
                asides.line(text)
            else:
                asides.end()
                report.line(text)

        began = time.monotonic()
        code = self._shell.run(list(arguments), show)
        asides.end()
        report.end()
        self.screen.exited(code, time.monotonic() - began)
        if code != exits:
            for text in asides.hidden:
                screen.aside(text)
            raise Disappointed(f"`fleet {' '.join(arguments)}` should exit {exits} here, and exited {code}")
        return "\n".join(said)

    def expect(self, true: bool, sentence: str, because: str) -> None:
        """Say what was checked. Raises Disappointed if it is not so."""
        if not true:
            raise Disappointed(f"this should be so and is not: {sentence}, {because}")
        self.screen.expectation(f"{sentence}, {because}")

    def pings(self, *pairs: tuple[str, str], arrive: bool | None) -> None:
        """Ping from LAN to LAN in sight. Raises Disappointed if one does not end as `arrive` says; None: whatever comes."""
        rows = [(source, target, self.network.ping(source, target)) for source, target in pairs or PAIRS]
        self.screen.pings(rows)
        for source, target, trace in rows:
            if arrive is not None and arrive == bool(trace.stopped):
                raise Disappointed(
                    f"the ping from {source} to {target} should {'' if arrive else 'not '}arrive: {trace.stopped}"
                )
