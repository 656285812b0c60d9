"""What every command starts from: inventory, state, secret, routers; and how errors reach a person."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import typer

from .. import inventory as inventories
from .. import plugins
from ..control import Controller
from ..errors import FleetError, InventoryError, UsageError
from ..events import Emit, silent
from ..model import Fleet, Secret
from ..reach import Reach
from ..runner import LocalRunner
from ..secrets import FleetSecret, Resolver
from ..state import State, default_place, open_state
from .output import say

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as shells have it."""


@dataclass
class Context:
    """The global options, and everything that follows from them, each made when it is first needed."""

    inventory: Path
    state_url: str | None = None
    verbose: int = 0

    @cached_property
    def registry(self) -> plugins.Registry:
        """Installed drivers and transports."""
        return plugins.load()

    @cached_property
    def folder(self) -> Path:
        """Where `.fleet/` lives: the directory given, or the one of the file given."""
        return self.inventory if self.inventory.is_dir() else self.inventory.parent

    @cached_property
    def fleet(self) -> Fleet:
        """The inventory, validated. Raises InventoryError."""
        return inventories.load(self.inventory, self.registry.drivers)

    @cached_property
    def resolver(self) -> Resolver:
        """Asks each secret reference once per run."""
        return Resolver(folder=self.folder)

    def secret(self) -> Secret | None:
        """The fleet secret, None if this fleet has none yet. Raises UsageError if it must exist and does not match."""
        return FleetSecret.require(self.fleet, self.folder)

    def open_state(self) -> State:
        """The state database of this inventory. An absent one reads as empty and is made by the first write."""
        return open_state(self.state_url or default_place(self.folder))

    @contextmanager
    def controller(
        self, *, parallel: int = 20, at: dict[str, str] | None = None, emit: Emit = silent, need_secret: bool = True
    ) -> Iterator[Controller]:
        """A Controller whose connections and state are closed afterwards.

        The secret is looked for first: without it nothing is opened, read or written.
        """
        fleet = self.fleet
        secret = self.secret() if need_secret else None
        with self.open_state() as state:
            reach = Reach(fleet, registry=self.registry, state=state, resolver=self.resolver, at=at or {}, emit=emit)
            controller = Controller(
                fleet,
                state=state,
                reach=reach,
                runner=LocalRunner(parallel, endpoint=reach.endpoint),
                secret=secret,
                make_secret=lambda: FleetSecret.create(self.folder),
                emit=emit,
            )
            try:
                yield controller
            finally:
                reach.close()
                if self.verbose > 1:
                    for bug in controller.bugs:
                        traceback.print_exception(bug, file=sys.stderr)


def parse_at(values: list[str], fleet: Fleet) -> dict[str, str]:
    """`NAME=HOST[:PORT]` options by router name. Raises UsageError."""
    found = {}
    for value in values:
        name, equals, host = value.partition("=")
        if not equals or not host:
            raise UsageError(f"--at wants NAME=HOST[:PORT], not {value!r}", "for example --at mumbai=192.168.88.1")
        if name not in fleet.routers:
            raise UsageError(f"--at names no router of the inventory: {name!r}", "see `fleet check --table` for the names")
        found[name] = host
    return found


def report_error(error: BaseException) -> int:
    """Say an error on standard error as a person needs it; the exit code."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        say("stopped; no router was left between two writes. The next `fleet sync` converges.")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # Whoever read the result has enough (`| head`). Python must not complain of it again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    if hasattr(error, "format_message"):  # typer's own usage errors, whichever click it was built with
        say(f"fleet: {error.format_message()}")
        say("  see `fleet --help`")
        return 3
    if _verbosity(sys.argv[1:]) > 1:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, InventoryError):
        for problem in error.problems:
            say(str(problem))
        count = len(error.problems)
        say(f"{count} problem{'s' if count > 1 else ''}; nothing was contacted, nothing was written")
        return error.exit_code
    if isinstance(error, FleetError):
        say(f"fleet: {error.summary}")
        if error.hint:
            say(f"  {error.hint}")
        return error.exit_code
    say(f"fleet: internal error: {type(error).__name__}: {error}")
    say("  run the same command with -vv and report what it prints; `fleet sync` is safe to repeat")
    return 1


def _verbosity(arguments: list[str]) -> int:
    """How often -v was given, from the command line itself: it may be what could not be read."""
    short = sum(len(argument) - 1 for argument in arguments if re.fullmatch("-v+", argument))
    return short + arguments.count("--verbose")
