"""One router: observe, diff, render, apply, observe again, until it equals the intent or says why not.

Level-triggered: after every pass the router is read afresh and only the difference that is left is rendered again, so
that ids, keys and defaults that the router made itself are simply seen. A pass that does not shrink the rest ends the
loop with NotConverged. Nothing here knows a vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias, runtime_checkable

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from .changes import Change
from .diff import Diff, apply_changes, batches, diff
from .driver import Batch, Driver, Limits, Observed, RouterPlan, Script, Step
from .errors import ConnectionLost, FleetError, IdentityChanged, NotConverged, NotSettled, RouterError, Unsupported
from .events import Emit, Event, Phase, silent
from .link import Reply, Request, RouterLink
from .model import Configuration, Secret
from .overlay import fitted

SETTLE_SECONDS = 60.0
"""How long a router may take to make live what it stored, where the vendor does that later (controllers)."""

SETTLE_LOOK = 0.5
"""Seconds until it is looked at again the first time; each look after that waits twice as long."""


class Journal(Protocol):
    """Where every step is written down before and after it is sent."""

    def record(self, router: str, phase: str, text: str, detail: Mapping[str, object] | None = None) -> None:
        """Append one entry; durable when it returns."""


Line: TypeAlias = tuple[str, str, str, Mapping[str, object] | None]
"""One entry of a journal: router, phase, text, detail."""


@runtime_checkable
class BulkJournal(Journal, Protocol):
    """A journal whose every write waits for a disk, and which therefore takes many entries at once."""

    def record_all(self, lines: Iterable[Line]) -> None:
        """Append them in their order, all or none; durable when it returns."""


def record_all(journal: Journal, lines: Sequence[Line]) -> None:
    """Append entries, together where the journal can."""
    if isinstance(journal, BulkJournal):
        journal.record_all(lines)
        return
    for line in lines:
        journal.record(*line)


class NoJournal:
    """For reading and for tests: nothing is kept."""

    def record(self, router: str, phase: str, text: str, detail: Mapping[str, object] | None = None) -> None:
        """Forget it."""


@dataclass(slots=True)
class Router:
    """One router during a run: who speaks to it and what it last said.

    `renew` drops the jump connections on the way, so that a fresh connection proves the whole path.
    """

    name: str
    overlay: str
    driver: Driver
    link: RouterLink
    emit: Emit = silent
    renew: Callable[[], None] = lambda: None
    observed: Observed | None = None

    def fresh(self) -> None:
        """The next request opens a new connection, through new jump connections too."""
        self.link.fresh()
        self.renew()

    def say(self, phase: Phase, text: str = "") -> None:
        """Tell whoever watches."""
        self.emit(Event(self.name, phase, text))

    @property
    def limits(self) -> Limits:
        """What this very router can do; before the first read, what the vendor can at best."""
        return self.observed.limits if self.observed else self.driver.limits


@dataclass(frozen=True, slots=True)
class Intent:
    """What a router should become, and the parts of it that may be written now.

    `wanted` chooses among the changes of a pass (hubs add before spokes switch); None: all of them. `private_keys` are
    by interface name. `pinned_endpoints` names the routers whose learned endpoint must not roam.
    """

    configuration: Configuration
    wanted: Callable[[Change], bool] | None = None
    private_keys: Mapping[str, Secret] = field(default_factory=dict)
    pinned_endpoints: frozenset[str] = frozenset()


def observe(router: Router) -> Observed:
    """Read the router, waiting while it says that what it stored is not live yet. Raises RouterError, NotSettled."""
    router.say("observe")
    observed = router.driver.observe(router.link)
    if not observed.settled:
        observed = _settled(router)
    router.observed = observed
    return observed


def _settled(router: Router) -> Observed:
    attempts = Retrying(
        retry=retry_if_result(lambda observed: not observed.settled),
        wait=wait_exponential(multiplier=SETTLE_LOOK, max=8),
        stop=stop_after_delay(SETTLE_SECONDS),
    )
    try:
        return attempts(router.driver.observe, router.link)
    except RetryError as error:
        last: Observed = error.last_attempt.result()
        if last.running is not None:
            return last  # not late any more but stuck: what runs differs from what is stored, which a Reapply may heal
        raise NotSettled(
            f"{router.name}: stored its configuration and did not make it live within {SETTLE_SECONDS:.0f} s",
            "it is picked up by the next `fleet sync`",
            router=router.name,
        ) from error


def compare(router: Router, intent: Intent) -> Diff:
    """What separates the router, as last observed, from the intent.

    Raises Unsupported where a limit forbids what the intent needs, IdentityChanged where the key is not the pinned one.
    """
    assert router.observed is not None
    limits = router.limits
    wanted = fitted(intent.configuration, limits)
    found = diff(
        router.observed.stored,
        router.observed.running,
        wanted,
        router.overlay,
        limits=limits,
        pinned_endpoints=intent.pinned_endpoints,
    )
    if found.key_mismatch:
        raise IdentityChanged(
            f"{router.name}: {found.key_mismatch}",
            f"if that is right, accept it with `fleet trust {router.name}`; nothing was written",
            router=router.name,
        )
    said = [*found.conflicts, *(sentence for interface in wanted.values() for sentence in limits.refusals(interface))]
    if limits.interfaces is not None and len(wanted) > limits.interfaces:
        said.append(f"holds at most {limits.interfaces} WireGuard interface(s), {len(wanted)} are wanted")
    said += [sentence for change in found.changes if (sentence := limits.forbidden(change))]
    if said:
        more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
        raise Unsupported(
            f"{router.name}: {said[0]}{more}", "nothing was written to it; change the inventory and run `fleet plan`"
        )
    return found


def converge(
    router: Router, intent: Intent, *, plan_id: str, journal: Journal, achieved: str = "reads as intended"
) -> tuple[Change, ...]:
    """Bring the router to the intent; the changes that were made, empty if there was nothing to do. Says what is `achieved`.

    Raises RouterError: Rejected with what landed, ConnectionLost, NotConverged with what is left.
    """
    if router.observed is None:
        observe(router)
    made: list[Change] = []
    left: tuple[Change, ...] | None = None
    while changes := chosen(compare(router, intent).changes, intent):
        if left is not None and len(changes) >= len(left) and set(map(str, changes)) & set(map(str, left)):
            raise NotConverged(
                f"{router.name}: accepted every request and still differs: {changes[0]}"
                + (f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""),
                f"see the difference with `fleet plan {router.name}`",
                router=router.name,
            )
        script = render(router, intent, changes, plan_id)
        try:
            apply(router, script, journal)
        except RouterError as error:
            told = _told(router, error, changes, intent, journal)
            if told is not None:
                raise told from error
        else:
            router.fresh()
            observe(router)
        if left is None:
            made.extend(changes)
        left = changes
    clean_up(router, intent, plan_id, journal)
    router.say("verify", achieved if made else "in sync")
    if made:
        journal.record(router.name, "verify", "a fresh read equals the intent")
    return tuple(made)


def clean_up(router: Router, intent: Intent, plan_id: str, journal: Journal) -> None:
    """Delete what an earlier run only disabled, or left there otherwise, and read again. Raises RouterError."""
    assert router.observed is not None
    cleanup = render(router, intent, (), plan_id).cleanup if router.observed.leftovers else ()
    for batch in cleanup:
        send(router, batch, journal)
    if cleanup:
        router.fresh()
        observe(router)


def chosen(changes: Sequence[Change], intent: Intent) -> tuple[Change, ...]:
    """The changes that may be written now."""
    return tuple(changes) if intent.wanted is None else tuple(change for change in changes if intent.wanted(change))


def render(router: Router, intent: Intent, changes: Sequence[Change], plan_id: str) -> Script:
    """The native requests for these changes. Raises AssertionError if the driver loses or repeats a change."""
    assert router.observed is not None
    limits = router.limits
    plan = RouterPlan(
        target=router.link.target,
        plan_id=plan_id,
        batches=batches(changes, limits),
        desired=fitted(partial(intent, changes, router.observed.stored), limits),
        private_keys=intent.private_keys,
        snapshot=router.observed.stored,
    )
    script = router.driver.render(plan, router.observed)
    covered = [change for step in script.steps for change in step.covers]
    if sorted(map(str, covered)) != sorted(map(str, plan.changes)):
        raise AssertionError(f"driver {router.driver.name} does not cover every change in exactly one step")
    return script


def partial(intent: Intent, changes: Sequence[Change], held: Configuration) -> Configuration:
    """The state to write when only some changes are wanted now: whole-file vendors must not do the rest as well.

    `held` is the view that the changes were found in.
    """
    if intent.wanted is None:
        return intent.configuration
    ours = {name: interface for name, interface in held.items() if name in intent.configuration}
    return {
        name: replace(interface, unmanaged=intent.configuration[name].unmanaged)
        for name, interface in apply_changes(ours, changes).items()
        if name in intent.configuration
    }


def apply(router: Router, script: Script, journal: Journal) -> None:
    """Send a script batch by batch; every step is journalled before it is sent and when its replies are in.

    Raises the first error of a batch, after all replies of that batch arrived.
    """
    for phase in (script.prepare, script.guarded):
        for batch in phase:
            send(router, batch, journal)
    if script.confirm:
        router.fresh()
        router.say("confirm")
        send(router, (Step("confirm", script.confirm),), journal)
    for batch in script.cleanup:
        send(router, batch, journal)


def send(router: Router, batch: Batch, journal: Journal) -> None:
    """Send the steps of one batch together, journalled before and after. Raises the first error when all replies are in."""
    for step in batch:
        router.say("apply", step.summary)
    record_all(journal, [(router.name, "apply", step.summary, {"interrupts": step.interrupts}) for step in batch])
    owners = [step for step in batch for _ in step.requests]
    requests: list[Request] = [request for step in batch for request in step.requests]
    failed: tuple[Step, RouterError] | None = None
    lost: set[int] = set()
    for step, reply in zip(owners, router.link.attempt(requests), strict=True):
        if isinstance(reply, RouterError):
            lost.add(id(step))
            failed = failed or (step, reply)
    lines: list[Line] = [(router.name, "applied", step.summary, None) for step in batch if id(step) not in lost]
    if failed is not None:
        lines.append((router.name, "refused", f"{failed[0].summary}: {failed[1].summary}", None))
    record_all(journal, lines)
    if failed is not None:
        raise failed[1]


def _told(
    router: Router, error: RouterError, changes: Sequence[Change], intent: Intent, journal: Journal
) -> RouterError | None:
    """The error with what landed, from a fresh read: after a refusal or a loss nobody guesses.

    None if only the answer was lost: the router reads as intended.
    """
    router.fresh()
    try:
        observe(router)
        left = chosen(compare(router, intent).changes, intent)
    except FleetError:
        journal.record(router.name, "observe", "cannot be read after the failure")
        error.hint = error.hint or f"it could not be read afterwards; run `fleet sync {router.name}` when it answers"
        return error
    wanted = {str(change) for change in changes}
    landed = len(wanted) - len(wanted & {str(change) for change in left})
    journal.record(router.name, "observe", f"{landed} changes landed, {len(left)} did not")
    if isinstance(error, ConnectionLost) and not left:
        return None
    if isinstance(error, ConnectionLost):
        error.summary = f"{router.name}: {error.summary}"
    error.hint = "\n  ".join(
        part
        for part in (
            error.hint,
            f"{landed} changes landed, {len(left)} did not; after the cause is gone: fleet sync {router.name}",
        )
        if part
    )
    return error


__all__ = [
    "Intent",
    "Journal",
    "NoJournal",
    "Reply",
    "Router",
    "apply",
    "chosen",
    "compare",
    "converge",
    "observe",
    "partial",
    "render",
    "send",
]
