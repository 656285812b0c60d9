"""The fleet as a whole: survey the routers, plan, bring them to the intent in the right order, judge whether tunnels live.

`Controller` knows inventory, state and secret; the runner gives it concurrency, the engine handles one router. The order is
fixed: first contact is interface and key on every reachable router, read back and pinned; then hubs learn, spokes
switch, hubs forget; whether tunnels are alive is judged at the end, when both ends have been written.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from . import confirmed, engine, keys, overlay
from .back import Back, BackTo, DesiredState
from .changes import Change
from .driver import Driver, Observed
from .engine import Intent
from .errors import FleetError, IdentityChanged, PlanRefused, RouterError
from .events import Emit, silent
from .fingerprint import subject
from .link import Question
from .model import Configuration, Custody, Fact, Facts, Fleet, IPAddress, KeyOf, PublicKey, Secret
from .plan import interruption, labelled, lan_impact
from .rebuild import own_interface, recover
from .report import ChangeLine, FleetReport, Outcome, RouterReport
from .runner import Runner
from .selection import Selection
from .stages import unbridged
from .state import ConfirmedState, Escrow, State


class Reach(Protocol):
    """How routers are reached; `fleet.reach` is the real one."""

    def driver(self, name: str) -> Driver:
        """The driver of a router."""

    def router(self, name: str, *, at: IPAddress | None = None) -> engine.Router:
        """An engine router whose link connects on first use and holds the router to its pins; `at` this address only."""

    def unpinned(self, name: str) -> engine.Router:
        """The same without regard to pins and without pinning."""

    def moved(self, facts: Mapping[str, Fact]) -> None:
        """Overlay addresses changed: reach routers at their new ones, through new jump connections."""

    def learned(self, facts: Mapping[str, Fact]) -> None:
        """Overlay addresses that hubs tell of routers which the state does not know."""

    def shown(self, name: str) -> Mapping[str, str]:
        """What a router or jump identifies itself with now, without regard to pins: `ssh` or `tls` to its value."""


@dataclass(slots=True)
class Survey:
    """What one read of many routers gave: those that answered, and the error of each that did not."""

    routers: dict[str, engine.Router] = field(default_factory=dict)
    errors: dict[str, FleetError] = field(default_factory=dict)

    def observed(self) -> dict[str, Observed]:
        """The reads by router name."""
        return {name: router.observed for name, router in self.routers.items() if router.observed is not None}


@dataclass(slots=True)
class Prepared:
    """A survey, begun at that monotonic second, with what follows from it.

    Facts are pinned, recovered or seen; `addresses` are the overlay addresses of every router.
    """

    selection: Selection
    survey: Survey
    facts: dict[str, Fact]
    addresses: Mapping[str, tuple[IPAddress, ...]]
    pinned: Mapping[str, Fact] = field(default_factory=dict)
    began: float = 0.0
    notes: list[str] = field(default_factory=list)


class Controller:
    """One command's work on one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        state: State,
        reach: Reach,
        runner: Runner,
        secret: Secret | None = None,
        make_secret: Callable[[], Secret] | None = None,
        emit: Emit = silent,
    ) -> None:
        self.fleet = fleet
        self.state = state
        self.reach = reach
        self.runner = runner
        self.secret = secret
        self.make_secret = make_secret
        self.emit = emit
        self.bugs: list[Exception] = []
        """Errors that no driver may raise, each reported as the failure of its router; for -vv."""
        self._overlay = fleet.overlay.name
        self._confirmed: Mapping[str, ConfirmedState] | None = None
        self._back: BackTo | None = None

    # ------------------------------------------------------------------------------------------------ survey
    def contactable(self, name: str) -> bool:
        """True for enabled routers that something can log in to."""
        return self.fleet.routers[name].enabled and bool(self.reach.driver(name).transport)

    def survey(self, names: Iterable[str], asks: Iterable[Question] = ()) -> Survey:
        """Read these routers, all that can be contacted, in parallel; `asks` is what else is wanted of each."""
        found = Survey()
        questions = tuple(asks)

        def read(name: str) -> engine.Router:
            router = self.reach.router(name)
            for question in questions:
                router.link.ask(question)
            engine.observe(router)
            return router

        for name, outcome in self.runner.run(read, [name for name in names if self.contactable(name)]).items():
            if outcome.value is not None:
                found.routers[name] = outcome.value
            elif outcome.error is not None:
                found.errors[name] = self.excused(name, outcome.error)
        return found

    def excused(self, name: str, error: Exception) -> FleetError:
        """The error of one router. What is no fleet error is a bug, of its driver most likely: it must not stop the others."""
        if isinstance(error, FleetError):
            return error
        self.bugs.append(error)
        driver = self.fleet.routers[name].driver
        return RouterError(
            f"{name}: internal error with driver {driver}: {type(error).__name__}: {error}",
            "run the same command with -vv and report what it prints; other routers are not affected",
            router=name,
        )

    def prepare(self, selection: Selection) -> Prepared:
        """Read what the selection needs and learn facts; nothing is written, neither on routers nor in the state.

        Raises PlanRefused when addresses would have to be allocated while the state is empty and a hub is unread.
        """
        began = time.monotonic()
        pinned = self.state.facts(self._overlay)
        names = set(selection.names)
        if any(name not in pinned for name in self.fleet.routers if self.fleet.routers[name].enabled):
            names |= {hub.name for hub in self.fleet.hubs}
        survey = self._survey(names, pinned)
        facts = self._facts(pinned, survey)
        self._refuse_guessing(pinned, facts, survey)
        held = frozenset(
            address
            for name, addresses in self.state.held(self._overlay).items()
            if name not in self.fleet.routers
            for address in addresses
        )
        known = {name: fact for name, fact in facts.items() if name in self.fleet.routers}
        addresses = overlay.allocate(self.fleet, known, held | _addresses_of_strangers(facts, self.fleet))
        prepared = Prepared(selection, survey, known, addresses, pinned, began)
        prepared.notes += [*self._notes(survey), *self._left(pinned)]
        if self._back is not None:
            self.desired(known, addresses)  # where that cannot be gone back to is said before anything is written
        return prepared

    def _survey(self, names: set[str], pinned: Mapping[str, Fact]) -> Survey:
        """Read these routers; hubs first where nobody knows yet at which overlay address a router behind them is reached."""
        lost = [name for name in names if name not in pinned and self.fleet.routers[name].via]
        first = {hub.name for hub in self.fleet.hubs} & names if lost else set()
        survey = self.survey(name for name in self.fleet.routers if name in first)
        if first:
            self.reach.learned(recover(self.fleet, survey.observed()))
        rest = self.survey(name for name in self.fleet.routers if name in names and name not in first)
        order = [name for name in self.fleet.routers if name in {*survey.routers, *rest.routers}]
        routers = {**survey.routers, **rest.routers}
        return Survey({name: routers[name] for name in order}, {**survey.errors, **rest.errors})

    def facts(self, survey: Survey) -> dict[str, Fact]:
        """What is pinned, what the marks say and what the routers show, in this order of belief."""
        return self._facts(self.state.facts(self._overlay), survey)

    def _facts(self, pinned: Mapping[str, Fact], survey: Survey) -> dict[str, Fact]:
        observed = survey.observed()
        found = recover(self.fleet, observed)
        tombstones = self.state.tombstones(self._overlay)
        facts: dict[str, Fact] = {}
        for name in {**self.fleet.routers, **found}:
            router = self.fleet.routers.get(name)
            fact = pinned.get(name) or (pinned.get(router.formerly) if router and router.formerly else None) or Fact()
            seen = found.get(name) or (found.get(router.formerly) if router and router.formerly else None) or Fact()
            given = router.public_key if router else None
            key = given or fact.public_key or seen.public_key or self._unmarked_key(name, observed)
            facts[name] = replace(
                fact,
                public_key=None if key in tombstones else key,
                addresses=fact.addresses or seen.addresses,
                epoch=fact.epoch if fact.public_key else seen.epoch,
            )
        return facts

    def _unmarked_key(self, name: str, observed: Mapping[str, Observed]) -> PublicKey | None:
        """The key of an interface of ours that carries no mark: only if it already has the address that is wanted."""
        if name not in observed or name not in self.fleet.routers:
            return None
        interface = own_interface(observed[name], self.fleet, name)
        given = set(self.fleet.routers[name].addresses)
        if interface is None or not isinstance(interface.public_key, PublicKey):
            return None
        return interface.public_key if given & {address.ip for address in interface.addresses} else None

    def _refuse_guessing(self, pinned: Mapping[str, Fact], facts: Mapping[str, Fact], survey: Survey) -> None:
        if pinned:
            return
        unread = [hub.name for hub in self.fleet.hubs if hub.name in survey.errors]
        families = {prefix.version for prefix in self.fleet.overlay.prefixes}
        guessed = [
            router.name
            for router in self.fleet.enabled
            if families - {address.version for address in (*router.addresses, *facts[router.name].addresses)}
        ]
        if unread and guessed:
            error = survey.errors[unread[0]]
            raise PlanRefused(
                f"the state is empty and hub {unread[0]} cannot be read ({error.summary}): "
                f"an address for {guessed[0]} might be taken already",
                f"bring {unread[0]} back, restore the state, or write `address:` for {', '.join(guessed[:3])}",
            )

    def _left(self, pinned: Mapping[str, Fact]) -> list[str]:
        names = {*self.fleet.routers, *(router.formerly for router in self.fleet.routers.values())}
        return [
            f"{name} left the inventory: removed from the others, its own device is untouched, its address is held for 90 days"
            for name in pinned
            if name not in names
        ]

    def _notes(self, survey: Survey) -> list[str]:
        owners = {lan: router.name for router in self.fleet.enabled for lan in router.lans}
        lengths = sorted({(lan.version, lan.prefixlen) for lan in owners})
        notes = []
        for name, observed in survey.observed().items():
            for prefix in observed.connected:
                # By length and not by LAN: a thousand routers have a thousand LANs of two or three lengths.
                around = (
                    prefix.supernet(new_prefix=length)
                    for version, length in lengths
                    if version == prefix.version and length <= prefix.prefixlen
                )
                notes += [
                    f"{name}: its WAN side {prefix} lies inside {owners[lan]}'s LAN {lan}: "
                    "hosts there cannot be told apart; renumber one"
                    for lan in around
                    if owners.get(lan, name) != name
                ]
        return notes + [f"{name}: {note}" for name, observed in survey.observed().items() for note in observed.notes]

    # -------------------------------------------------------------------------------------------------- plan
    def plan(self, prepared: Prepared, *, native: bool = False) -> FleetReport:
        """What a sync would do, from what was read; keys that do not exist yet stand as `key of NAME`."""
        facts = self._with_symbols(prepared)
        desired = self.desired(facts, prepared.addresses)
        report = FleetReport("plan", self._overlay, notes=[*prepared.notes, *desired.notes])
        report.not_enrolled = [name for name in desired.not_enrolled if name in prepared.selection.names]
        changes: dict[str, tuple[Change, ...]] = {}
        for name in prepared.selection.names:
            report.routers.append(self._planned(name, prepared, desired, changes, native=native))
        report.notes += filter(None, [lan_impact(self.fleet, changes)])
        report.fingerprint = _fingerprint(report)
        report.seconds = time.monotonic() - prepared.began
        return report

    def _planned(
        self,
        name: str,
        prepared: Prepared,
        desired: DesiredState,
        planned: dict[str, tuple[Change, ...]],
        *,
        native: bool,
    ) -> RouterReport:
        report = self.blank(name, prepared)
        router = prepared.survey.routers.get(name)
        if router is None:
            return self.absent(report, prepared)
        report.version = router.observed.version if router.observed else ""
        try:
            intent = self.intent(name, desired, prepared)
            self.refuse_lost_key(router, prepared.facts[name], intent)
            found = engine.compare(router, intent)
            changes = planned[name] = engine.chosen(found.changes, intent)
            if native and changes:
                script = engine.render(router, self._previewed(router, intent), changes, "preview")
                report.native = tuple(request.native() for step in script.steps for request in step.requests)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything; `excused` keeps it for -vv
            return failed(report, self.excused(name, error))
        report.notes = (*_left_behind(router.observed), *found.claims, *(f"not ours, kept: {what}" for what in found.foreign))
        report.notes += tuple(unbridged(self.fleet, {name: changes}))
        report.interrupts = interruption(changes)
        self.describe(report, changes)
        report.outcome = "changes" if changes else "in sync"
        return report

    def _previewed(self, router: engine.Router, intent: Intent) -> Intent:
        """With a key where a sync would send one, so that the vendor's commands are those of the sync. It is shown as ***."""
        if self.custody(router.name) != "escrow" and router.limits.makes_keys:
            return intent
        return replace(intent, private_keys={name: keys.new_private_key() for name in intent.configuration})

    def blank(self, name: str, prepared: Prepared) -> RouterReport:
        """The report of a router of which nothing is known yet: in sync."""
        router = self.fleet.routers[name]
        return RouterReport(name, router.driver, router.role, "in sync", included=prepared.selection.included.get(name, ""))

    def absent(self, report: RouterReport, prepared: Prepared) -> RouterReport:
        """A router without a read: suspended, manual, or one whose error is known."""
        if not self.fleet.routers[report.router].enabled:
            report.outcome = "suspended"
        elif report.router in prepared.survey.errors:
            return failed(report, prepared.survey.errors[report.router])
        elif prepared.facts[report.router].public_key is None:
            report.outcome = "not enrolled"
            report.hint = "write its `public_key:` into the inventory"
        return report

    def _with_symbols(self, prepared: Prepared) -> dict[str, Fact]:
        return {
            name: replace(fact, public_key=symbol(name))
            if fact.public_key is None and name in prepared.survey.routers
            else fact
            for name, fact in prepared.facts.items()
        }

    def desired(self, facts: Facts, addresses: Mapping[str, tuple[IPAddress, ...]]) -> DesiredState:
        """What every enabled router should be, for these keys and addresses. Raises PlanRefused, UsageError."""
        ports = {
            name: router.port or self.reach.driver(name).port
            for name, router in self.fleet.routers.items()
            if self.reach.driver(name).transport
        }
        today = overlay.desired_state(self.fleet, facts, addresses, ports)
        if self._back is None:
            return today
        return Back(today, self._back, self.fleet, facts, addresses, self.state.tombstones(self._overlay))

    def intent(self, name: str, desired: DesiredState, prepared: Prepared) -> Intent:
        """What one router should become, preshared keys derived if the secret is at hand, as far as the selection goes."""
        configuration = desired.configuration(name)
        if self.secret is not None:
            configuration = overlay.resolve_preshared(configuration, self.secret)
        configuration = {
            interface.name: replace(interface, public_key=KeyOf(name)) if interface.public_key == symbol(name) else interface
            for interface in configuration.values()
        }
        chosen = prepared.selection.filter(name)
        return Intent(configuration, wanted=chosen, pinned_endpoints=desired.pinned_endpoints)

    def describe(self, report: RouterReport, changes: Iterable[Change]) -> None:
        """Put changes into a report, each labelled against the last confirmed sync of that router."""
        changes = tuple(changes)
        if not changes:
            return
        router = self.fleet.routers[report.router]
        if self._confirmed is None:
            self._confirmed = self.state.confirmed_all(self._overlay)
        last = self._confirmed.get(router.name) or self._confirmed.get(router.formerly or "")
        report.changes = tuple(map(line, labelled(changes, last.objects if last else None)))
        report.confirmed = f"{last.at:%Y-%m-%d %H:%M} UTC" if last else ""

    def refuse_lost_key(self, router: engine.Router, fact: Fact, intent: Intent) -> None:
        """A router whose key is pinned and whose interface is gone needs that very key: from escrow, or a person decides.

        Raises IdentityChanged when the key is not in escrow.
        """
        assert router.observed is not None
        for interface in intent.configuration.values():
            if fact.public_key is None or interface.name in router.observed.stored or interface.name in intent.private_keys:
                continue
            if self.escrow(router.name, fact.public_key) is not None:
                continue
            raise IdentityChanged(
                f"{router.name}: interface {interface.name} is gone, and with it its key (pinned: {fact.public_key[:8]}...)",
                f"if the router was reset or replaced, accept a new key with `fleet trust {router.name}`",
                router=router.name,
            )

    def custody(self, name: str) -> Custody:
        """Where a router's private key lives: as the inventory says, else in escrow for the only hub."""
        router = self.fleet.routers[name]
        only_hub = router.role == "hub" and len(self.fleet.hubs) == 1
        return router.keys.custody or ("escrow" if only_hub else "device")

    def escrow(self, name: str, public_key: PublicKey | None = None) -> Escrow | None:
        """What the state holds sealed for a router, under the name it had before if it was renamed just now."""
        router = self.fleet.routers.get(name)
        held = [*self._escrows.get(name, ()), *self._escrows.get((router.formerly if router else None) or "", ())]
        return next((escrow for escrow in held if public_key in (None, escrow.public_key)), None)

    def keep_in_escrow(self, name: str, sealed: bytes, public_key: PublicKey) -> None:
        """Put a sealed key into the state; durable when it returns."""
        self.state.put_escrow(self._overlay, name, sealed, public_key)
        self.__dict__.pop("_escrows", None)

    @cached_property
    def _escrows(self) -> Mapping[str, tuple[Escrow, ...]]:
        """Read once: a thousand routers would ask a thousand times."""
        return self.state.escrows(self._overlay)

    def escrow_note(self, name: str, observed: Observed) -> str:
        """A sentence about the only hub when its key exists and is not in escrow; empty otherwise."""
        if self.custody(name) != "escrow":
            return ""
        interface = own_interface(observed, self.fleet, name)
        if interface is None or not isinstance(interface.public_key, PublicKey):
            return ""
        held = self.escrow(name)
        if held is not None and held.public_key == interface.public_key:
            return ""
        return "its key was made before fleet came and is not in escrow: if this router dies, every branch must be visited"

    def remember(self, found: Mapping[str, tuple[Configuration, str]]) -> dict[str, str]:
        """Keep what was confirmed, configuration and version by router; under which id each configuration is kept."""
        return confirmed.remember(self.state, self._overlay, found)

    def go_back(self, run: str, selection: Selection) -> None:
        """From now on the desired state of these routers is what that run confirmed. Raises UsageError."""
        names = filter(self.contactable, selection.names)
        self._back = confirmed.back_to(self.state, self.fleet, run, selection, names)


# ------------------------------------------------------------------------------------------------------ helpers
def symbol(name: str) -> PublicKey:
    """A stand-in for the key that router `name` will have, so that a first plan shows its peers. Never sent to a router."""
    return PublicKey(base64.b64encode(hashlib.sha256(f"key of {name}".encode()).digest()).decode())


def line(change: Change) -> ChangeLine:
    """A change as people read it."""
    kind = type(change).__name__
    sign = "+" if kind.startswith("Add") else "-" if kind.startswith(("Remove", "Drop")) else "~"
    return ChangeLine(sign, str(change), change.reason, " ".join(subject(change)))


def failed(report: RouterReport, error: FleetError) -> RouterReport:
    """The report of a router whose work ended with this error."""
    outcomes: dict[str, Outcome] = {"pending": "pending", "rolled back": "rolled back"}
    own = error.outcome if isinstance(error, RouterError) else ""
    report.outcome = "refused" if isinstance(error, PlanRefused) else outcomes.get(own, "failed")
    report.summary = error.summary.removeprefix(f"{report.router}: ")
    report.hint = error.hint
    return report


def _left_behind(observed: Observed | None) -> tuple[str, ...]:
    """What a dead run left on the router, and what the next sync does about it."""
    if observed is None:
        return ()
    guard = observed.guard
    armed: tuple[str, ...] = ()
    if guard is not None:
        when = f", fires in {guard.fires_in:.0f} s" if guard.fires_in is not None else ""
        armed = (f"run {guard.plan_id} left its guard armed{when}: the next sync undoes that change first",)
    return (*armed, *(f"left over: {leftover}" for leftover in observed.leftovers))


def _addresses_of_strangers(facts: Mapping[str, Fact], fleet: Fleet) -> frozenset[IPAddress]:
    """Addresses that marks on the routers give to routers which are no longer in the inventory."""
    return frozenset(address for name, fact in facts.items() if name not in fleet.routers for address in fact.addresses)


def _fingerprint(report: FleetReport) -> str:
    shown = [
        (router.router, router.outcome, [(change.sign, change.text, change.subject) for change in router.changes])
        for router in report.routers
    ]
    return hashlib.sha256(repr((report.overlay, shown)).encode()).hexdigest()[:16]
