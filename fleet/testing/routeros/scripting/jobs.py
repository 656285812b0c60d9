"""Scripts that run, with the rights and the log of whoever started them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..commands import Account
from ..users import granted
from ..values import Refused
from .commands import PERMISSIONS
from .data import Value
from .environment import Scope
from .errors import Returned, ScriptError, TooLong
from .parser import parse
from .tree import Block

if TYPE_CHECKING:
    from ..router import Router

MAX_STEPS: Final = 200_000
MAX_CALLS: Final = 20
KEPT: Final = 32


class Job:
    """One run of one script. `outcome`: "ok", the error, or "running" while it waits."""

    def __init__(self, jobs: Jobs, number: int, name: str, user: str, policies: frozenset[str], depth: int) -> None:
        self.jobs, self.router = jobs, jobs.router
        self.number, self.name, self.user, self.policies, self.depth = number, name, user, policies, depth
        self.account = Account(user, policies, "", connection=self)
        self.output: list[str] = []
        self.outcome = "running"
        self.returned: Value = None
        self.wakes_at = 0.0
        self.then: Callable[[Job], None] | None = None
        self.steps: Iterator[float] = iter(())
        self._left = MAX_STEPS

    @property
    def globals(self) -> dict[str, Value]:
        """Variables that outlive scripts, until a reboot."""
        return self.jobs.globals

    def step(self) -> None:
        """One more statement. Raises TooLong."""
        self._left -= 1
        if self._left < 0:
            raise TooLong

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One function call inside another. Raises ScriptError."""
        self.depth += 1
        try:
            if self.depth > MAX_CALLS:
                raise ScriptError("functions call each other too deeply")
            yield
        finally:
            self.depth -= 1

    def say(self, line: str) -> None:
        """One line of output. Raises TooLong."""
        self._left -= len(line) // 100
        self.step()
        self.output.append(line)

    def log(self, topics: str, message: str) -> None:
        """A line of the router's log."""
        self.router.write_log(topics, message)

    def said(self) -> str:
        """Its output, with the error at the end as the console shows it."""
        failed = [] if self.outcome in ("ok", "running") else [f"Script Error: {self.outcome}"]
        return "\n".join(self.output + failed)


class Jobs:
    """All scripts of one router. Everything runs under the router's lock, in whichever thread moves the clock."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.globals: dict[str, Value] = {}
        self._waiting: list[Job] = []
        self._numbers = 0
        self._blocks: dict[str, Block] = {}

    def _parsed(self, source: str) -> Block:
        """What was parsed before is kept: a scheduler entry runs the same text again and again. Raises ScriptError."""
        block = self._blocks.get(source)
        if block is None:
            if len(self._blocks) >= KEPT:
                self._blocks.clear()
            block = self._blocks[source] = parse(source, self.router.device)
        return block

    def start(
        self,
        name: str,
        source: str | Block,
        user: str,
        policies: frozenset[str],
        *,
        then: Callable[[Job], None] | None = None,
        depth: int = 0,
    ) -> Job:
        """Run a script until it ends or waits. Never raises: how it ended is `outcome`. `then` is called at the end."""
        self._numbers += 1
        job = Job(self, self._numbers, name, user, policies, depth)
        job.then = then
        try:
            if depth > MAX_CALLS:
                raise ScriptError("scripts start each other too deeply")
            block = self._parsed(source) if isinstance(source, str) else source
        except ScriptError as error:
            self._end(job, str(error))
            return job
        job.steps = block.steps(Scope(job))
        self._go_on(job)
        return job

    def next_wake(self) -> float | None:
        """When the next waiting script goes on."""
        return min((job.wakes_at for job in self._waiting), default=None)

    def wake(self) -> None:
        """Let the script that waited longest go on."""
        job = min(self._waiting, key=lambda one: one.wakes_at)
        self._waiting.remove(job)
        self._go_on(job)

    def forget(self) -> None:
        """A reboot ends all of them, and what globals held."""
        for job in self._waiting:
            job.outcome = "interrupted"
        self._waiting.clear()
        self.globals.clear()

    def _go_on(self, job: Job) -> None:
        router, before = self.router, self.router.acting
        router.acting = (job.user, job.policies)
        try:
            seconds = next(job.steps, None)
        except ScriptError as error:
            self._end(job, str(error))
        except Returned as returned:
            job.returned = returned.value
            self._end(job, "ok")
        except RecursionError:
            self._end(job, "an expression or a chain of calls is too long")
        except TooLong:
            self._end(job, f"stopped after {MAX_STEPS} steps: it would never end")
        else:
            if seconds is None:
                self._end(job, "ok")
            else:
                job.wakes_at = max(job.wakes_at, router.clock.now()) + seconds
                self._waiting.append(job)
        finally:
            router.acting = before

    def _end(self, job: Job, outcome: str) -> None:
        job.outcome = outcome
        if outcome != "ok":
            reason = "not enough permissions" if outcome.startswith(PERMISSIONS) else outcome
            message = f"executing script {job.name} failed, please check it manually ({reason})"
            self.router.write_log("script,error", message)
        if job.then is not None:
            job.then(job)

    # --- /system/script ------------------------------------------------------------------------------------------------

    def run_stored(self, reference: str, caller: Job) -> None:
        """`/system/script/run` inside a script. Raises Refused, ScriptError."""
        job = self.stored(reference, caller.user, caller.policies, depth=caller.depth + 1)
        if job.outcome == "running":
            raise ScriptError("a script that waits, run by another, is not simulated")
        caller.output += job.output
        if job.outcome != "ok":
            raise ScriptError(job.outcome)

    def stored(
        self,
        reference: str,
        user: str,
        policies: frozenset[str],
        *,
        then: Callable[[Job], None] | None = None,
        depth: int = 0,
    ) -> Job:
        """Run a row of `/system/script`. Raises Refused where it has rights that the caller lacks."""
        row = self.router.device.table("/system/script").find(reference)
        own = granted(row.get("policy"))
        if row.get("dont-require-permissions") == "true":
            policies = own
        elif not own <= policies:
            raise Refused(PERMISSIONS)
        row.fields["run-count"] = str(int(row.get("run-count", "0")) + 1)
        row.fields["last-started"] = self.router.wall_text()
        return self.start(row.get("name"), row.get("source"), user, policies, then=then, depth=depth)
