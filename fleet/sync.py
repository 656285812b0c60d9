"""One sync of one fleet, from what was prepared to what became of every router.

First contact makes interface and key on every reachable router that has none, reads the key back and pins it. Then
hubs learn, spokes switch, hubs forget. At the end, when both ends of every tunnel have been written, liveness is judged.
Each router's failure is its own; only what must stop everybody is raised.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from . import engine, keys, overlay
from .blast import refusals
from .changes import AddInterface, Change
from .control import Controller, Prepared, failed
from .danger import cutting, managed_through, sentence
from .driver import Ask, Probe, ProbeResult
from .engine import Intent, Journal
from .errors import FleetError, HeldBack, PlanRefused, RouterError, Unreachable, Unsupported, UsageError
from .events import Event
from .guard import Guarded, resolve_left_over
from .liveness import FRESH_SECONDS, Session, judge
from .model import Configuration, Fact, Interface, KeyOf, PublicKey, Secret
from .plan import split_removals
from .proof import CLOCK_STEP, Before, Proof, rehandshake, renews_session
from .rebuild import own_interface
from .report import FleetReport, RouterReport
from .resume import LEFT_OUT, NOT_BEGUN, STOPPED, last_stopped
from .safety import WAVES_FROM, Safety
from .stages import Moves, moves, union
from .waves import Budget, Kind, waves

ALIVE_WITHIN = 20.0
"""Seconds that a tunnel written in this run gets to shake hands before its router is called waiting.

WireGuard tries a handshake every 5 s, so this is three tries and a margin.
"""

FIRST_PATIENCE = 5.0
"""Seconds after which a silent router is asked again; doubled each time, with jitter."""


class Sync:
    """The state of one run.

    `still_ours` raises LockHeld when somebody took the fleet's lock over meanwhile; it is asked before every router is written.
    """

    def __init__(
        self,
        controller: Controller,
        prepared: Prepared,
        journal: Journal,
        run_id: str,
        *,
        safety: Safety = Safety(),
        still_ours: Callable[[], None] = lambda: None,
        alive_within: float | None = None,
    ) -> None:
        self._control = controller
        self._prepared = prepared
        self._journal = journal
        self._run_id = run_id
        self._safety = safety
        self._still_ours = still_ours
        self._alive_within = ALIVE_WITHIN if alive_within is None else alive_within
        self._fleet = controller.fleet
        self._overlay = controller.fleet.overlay.name
        self._facts = prepared.facts
        self._survey = prepared.survey
        self._made: dict[str, list[Change]] = {}
        self._errors: dict[str, FleetError] = {}
        self._idle_notes: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._desired: overlay.Desired | None = None
        self._stopped = ""
        self._union: Moves | None = None
        self._patience = FIRST_PATIENCE
        self._ask_again = time.monotonic() + FIRST_PATIENCE
        self._intents: dict[str, Intent] = {}
        self._configurations: dict[str, Configuration] = {}
        self._addresses_before = {name: fact.addresses for name, fact in prepared.facts.items()}
        self._broken: dict[frozenset[str], float] = {}
        self._proven: frozenset[Kind] = frozenset()
        self._proof = self._proving()

    def _proving(self) -> Proof:
        """What lived and answered when the run began, against which every guarded change is held."""
        observed = self._survey.observed()

        def connect(name: str) -> None:
            router = self._control.reach.router(name)
            try:
                _ = router.link.session  # opens it: a login is the answer
            finally:
                router.link.close()

        return Proof(
            before=Before.of(observed),
            carried=managed_through(self._fleet),
            connect=connect,
            runner=self._control.runner,
            others=self._survey.routers,
            names={fact.public_key: name for name, fact in self._facts.items() if fact.public_key is not None},
        )

    def run(self) -> FleetReport:
        """Do it all. Raises UsageError before the first write when a secret is needed and cannot be had."""
        began = time.monotonic()
        self._need_secret()
        self._leave_out()
        self._pin()
        self._first_contact()
        self._desired = self._control.desired(self._facts, self._prepared.addresses)
        self._stages()
        self._judge()
        report = self._report()  # before what was confirmed last time is replaced: labels compare with it
        self._remember()
        report.seconds = time.monotonic() - began
        return report

    # ------------------------------------------------------------------------------------------- preparations
    def _need_secret(self) -> None:
        """Make the fleet secret if this fleet has none and nothing of ours is out there; else it must be found."""
        control = self._control
        if control.secret is not None or not (self._fleet.overlay.preshared_keys or self._new_escrow()):
            return
        ours = [
            name
            for name, observed in self._survey.observed().items()
            for interface in observed.stored.values()
            if interface.mark is not None and interface.mark.overlay == self._overlay
        ]
        if ours or control.make_secret is None:
            place = f"{ours[0]} already holds something of this fleet" if ours else "none was made"
            raise UsageError(
                f"the fleet secret is missing and {place}",
                "copy .fleet/secret from where this fleet is managed, or set FLEET_SECRET; nothing was written",
            )
        control.secret = control.make_secret()
        fingerprint = keys.secret_fingerprint(control.secret)
        self._prepared.notes.append(f"a fleet secret was made; add to the inventory under overlay:  secret_id: {fingerprint}")

    def _new_escrow(self) -> bool:
        return any(
            self._control.custody(name) == "escrow" and self._facts[name].public_key is None for name in self._survey.routers
        )

    def _leave_out(self) -> None:
        """With `resume`: routers that failed in the run that stopped are not written, kinds that it proved need no canary."""
        if not self._safety.resume:
            return
        stopped = last_stopped(self._control.state, self._overlay, self._run_id)
        if stopped is None:
            self._prepared.notes.append("no sync stopped that could be gone on with: this is an ordinary one, canaries first")
            return
        known = {*self._survey.routers, *self._survey.errors}  # one that is silent now may answer before the run ends
        out = [name for name in stopped.failed if name in known and self._may_write(name)]
        for name in out:
            outcome, run = stopped.failed[name]
            self._journal.record(name, LEFT_OUT, f"{outcome} in run {run}", {"outcome": outcome, "run": run})
            self._errors[name] = HeldBack(
                f"{name}: left out, because it {'was rolled back' if outcome == 'rolled back' else 'failed'} in run {run}",
                f"see why with `fleet history {run}`; when the cause is gone: fleet sync {name}",
                router=name,
            )
        self._proven = frozenset(self._kind(name) for name in stopped.proven if name in self._survey.routers)
        without = f", without {', '.join(out[:5])}{f' and {len(out) - 5} more' if len(out) > 5 else ''}" if out else ""
        self._prepared.notes.append(f"run {stopped.run} stopped and is gone on with{without}")

    def _pin(self) -> None:
        """Addresses once given are kept, keys once seen are known, names follow `formerly`, who left is noted."""
        state = self._control.state
        for name, router in self._fleet.routers.items():
            if router.formerly is not None and name not in self._prepared.pinned:
                state.rename(self._overlay, router.formerly, name)
        state.note_present(self._overlay, tuple(self._fleet.routers))
        changed: dict[str, Fact] = {}
        for name, router in self._fleet.routers.items():
            fact = replace(self._facts[name], addresses=tuple(self._prepared.addresses.get(name, ())))
            self._facts[name] = fact
            # A router that moves to another address is found at the old one until it has both.
            kept = replace(fact, addresses=self._addresses_before[name] or fact.addresses)
            if router.enabled and kept != self._prepared.pinned.get(name):
                changed[name] = kept
        state.pin_all(self._overlay, changed)

    # ------------------------------------------------------------------------------------------ first contact
    def _first_contact(self) -> None:
        """Interface and key on every reachable selected router that has no key yet, read back and pinned."""
        new = [
            name
            for name in self._survey.routers
            if self._facts[name].public_key is None and self._may_write(name) and name not in self._errors
        ]
        if not new:
            return
        desired = self._control.desired(self._facts, self._prepared.addresses)

        def contact(name: str) -> PublicKey:
            self._still_ours()
            router = self._survey.routers[name]
            made = self._private_keys(name)
            bare = {
                interface.name: _bare(interface, keys.public_key_of(made[interface.name]) if made else KeyOf(name))
                for interface in desired.configuration(name).values()
            }
            intent = Intent(bare, wanted=lambda change: isinstance(change, AddInterface), private_keys=made)
            self._made.setdefault(name, []).extend(
                engine.converge(router, intent, plan_id=self._run_id, journal=self._journal, achieved="interface and key made")
            )
            return self._read_back(router)

        made: dict[str, Fact] = {}
        for name, outcome in self._control.runner.run(contact, new).items():
            if outcome.error is not None:
                self._errors[name] = self._control.excused(name, outcome.error)
            elif outcome.value is not None:
                made[name] = self._facts[name] = replace(self._facts[name], public_key=outcome.value)
        self._control.state.pin_all(self._overlay, made)
        engine.record_all(self._journal, [(name, "pin", f"public key {fact.public_key}", None) for name, fact in made.items()])

    def _read_back(self, router: engine.Router) -> PublicKey:
        assert router.observed is not None
        interface = own_interface(router.observed, self._fleet, router.name)
        if interface is None or not isinstance(interface.public_key, PublicKey):
            raise RouterError(
                f"{router.name}: made the interface and shows no public key",
                f"look at it with `fleet show {router.name}`, then run `fleet sync {router.name}` again",
                router=router.name,
            )
        return interface.public_key

    def _private_keys(self, name: str) -> dict[str, Secret]:
        """Keys that must be sent: escrowed ones, and those of routers that cannot make their own; by interface name."""
        interface = self._fleet.routers[name].interface
        escrow = self._control.custody(name) == "escrow"
        if not escrow and self._survey.routers[name].limits.makes_keys:
            return {}
        private_key = keys.new_private_key()
        public_key = keys.public_key_of(private_key)
        self._journal.record(name, "key", f"made public key {public_key}", {"custody": "escrow" if escrow else "device"})
        if escrow:
            assert self._control.secret is not None
            sealed = keys.seal(self._control.secret, name, private_key)
            self._control.keep_in_escrow(name, sealed, public_key)
        return {interface: private_key}

    def _escrowed(self, name: str) -> dict[str, Secret]:
        """The pinned key out of escrow, for a router that lost it; nothing is unsealed for one that has it."""
        interface, observed = self._fleet.routers[name].interface, self._survey.routers[name].observed
        if self._control.secret is None or (observed is not None and interface in observed.stored):
            return {}
        held = self._control.escrow(name, self._facts[name].public_key)
        return {interface: keys.unseal(self._control.secret, held.sealed_as, held.sealed)} if held is not None else {}

    # -------------------------------------------------------------------------------------------------- stages
    def _stages(self) -> None:
        moving = self._moving()
        if moving:
            self._prepared.notes.append(moving.note())
            self._union = moving
            self._three_stages(self._wanted())
            # Who could not be written keeps its old address until it can: only the others lose theirs.
            moved = [name for name in moving.addresses if name in self._survey.routers and name not in self._errors]
            self._union = moving.only(set(moving.addresses) - set(moved))
            self._control.state.pin_all(self._overlay, {name: self._facts[name] for name in moved})
            self._control.reach.moved({name: self._facts[name] for name in moved})
        self._three_stages(self._wanted())

    def _moving(self) -> Moves:
        known = {name: fact.public_key for name, fact in self._facts.items() if fact.public_key is not None}
        after = {router.name: self._facts[router.name].addresses for router in self._fleet.enabled}
        return moves(self._addresses_before, after, known)

    def _three_stages(self, changes: dict[str, tuple[Change, ...]]) -> None:
        """Hubs learn before spokes switch; spokes leave before hubs forget."""
        self._refuse_blast(changes)
        hubs = [name for name in changes if self._fleet.routers[name].role == "hub"]
        others = [name for name in changes if self._fleet.routers[name].role != "hub"]
        self._stage(hubs, lambda changes: split_removals(changes)[0])
        self._stage(others, None)
        while late := self._late():
            self._stage(late, None)
        self._stage(hubs, None)
        if self._stopped:
            self._hold_back(changes)

    def _hold_back(self, names: Iterable[str]) -> None:
        """A run that stopped says what it leaves undone: above all the removals that hubs make last."""
        for name in names:
            if name in self._errors:
                continue
            intent = self._intent(name)
            left = engine.chosen(engine.compare(self._survey.routers[name], intent).changes, intent)
            if left:
                more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
                self._errors[name] = self._held(
                    name, "not finished" if self._made.get(name) else "not begun", f": {left[0]}{more}"
                )

    def _held(self, name: str, what: str, left: str = "") -> HeldBack:
        culprit = self._stopped
        return HeldBack(
            f"{name}: {what}, because {culprit} did not come through the same change{left}",
            f"see what happened with `fleet history {self._run_id}`; without {culprit}: fleet sync --resume",
            router=name,
        )

    def _late(self) -> list[str]:
        """Routers that did not answer at first and do now; asked again while the run lasts, ever less often, never awaited."""
        silent = [
            name
            for name, error in self._survey.errors.items()
            if isinstance(error, Unreachable) and self._may_write(name) and self._facts[name].public_key is not None
        ]
        if not silent or self._stopped or time.monotonic() < self._ask_again:
            return []
        self._patience *= 2
        # Jitter, so that a thousand branches of one dead hub do not all knock in the same second.
        self._ask_again = time.monotonic() + self._patience * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        found = self._control.survey(silent)
        for name, router in found.routers.items():
            del self._survey.errors[name]
            self._survey.routers[name] = router
        self._survey.errors.update(found.errors)
        return list(found.routers)

    def _wanted(self) -> dict[str, tuple[Change, ...]]:
        """What every writable router has before it; one that must be refused is refused here, before anybody is written."""
        found: dict[str, tuple[Change, ...]] = {}
        self._intents = {}
        for name in self._writable():
            router = self._survey.routers[name]
            try:
                intent = self._intent(name)
                found[name] = engine.chosen(engine.compare(router, intent).changes, intent)
                self._refuse_cutting(router, found[name])
            except FleetError as error:
                self._errors[name] = error
                found.pop(name, None)
        return found

    def _refuse_blast(self, changes: Mapping[str, tuple[Change, ...]]) -> None:
        if self._safety.force:
            return
        stored = {name: read.stored for name, read in self._survey.observed().items()}
        found = refusals(self._fleet, changes, stored)
        if found:
            more = "".join(f"; {refusal.summary}" for refusal in found[1:4])
            raise PlanRefused(f"{found[0].summary}{more}", "nothing was written; if that is what you mean, add --force")

    def _refuse_cutting(self, router: engine.Router, changes: tuple[Change, ...]) -> None:
        if self._safety.unguarded or router.limits.guard != "none":
            return
        cut = cutting(self._fleet, router.name, changes)
        if cut:
            raise Unsupported(
                f"{router.name}: this router cannot undo a change by itself, and {sentence(cut)}",
                "nothing was written to it; with another way to reach it at hand: --unguarded",
            )

    def _writable(self) -> list[str]:
        return [
            name
            for name in self._survey.routers
            if name not in self._errors and self._may_write(name) and self._facts[name].public_key is not None
        ]

    def _may_write(self, name: str) -> bool:
        return name in self._prepared.selection.writable

    def _stage(self, names: Iterable[str], part: Callable[[tuple[Change, ...]], tuple[Change, ...]] | None) -> None:
        """Write these routers wave by wave; what an unhealthy wave stops is not begun, and said."""
        due = [name for name in names if name not in self._errors and not self._stopped]
        kinds = {name: self._kind(name) for name in due}
        few, canaried = len(due) < WAVES_FROM, not self._proven.issuperset(kinds.values())
        options = self._safety
        rounds = (tuple(due),) if few else waves(kinds, canaries=options.canaries, batch=options.batch, proven=self._proven)
        budget = Budget.parse(self._safety.max_failures, len(due))
        for number, wave in enumerate(rounds):
            self._wave(wave, part)
            bad = [name for name in due if _broke(self._errors.get(name))]
            canary_failed = number == 0 and canaried and len(rounds) > 1 and any(name in bad for name in wave)
            if (canary_failed or len(bad) > budget.failures) and number + 1 < len(rounds):
                self._stop(bad[0], [name for later in rounds[number + 1 :] for name in later])
                return

    def _wave(self, names: Iterable[str], part: Callable[[tuple[Change, ...]], tuple[Change, ...]] | None) -> None:
        def work(name: str) -> tuple[Change, ...]:
            router = self._survey.routers[name]
            intent = self._intent(name)
            if part is not None:
                first = frozenset(map(str, part(engine.chosen(engine.compare(router, intent).changes, intent))))
                intent = replace(intent, wanted=lambda change: str(change) in first)
            began = time.monotonic()
            made = self._converge(router, intent)
            for change in made:
                if renews_session(change) and change.wanted.mark is not None:
                    self._broken[frozenset((name, change.wanted.mark.name))] = began
            return made

        for name, outcome in self._control.runner.run(work, names).items():
            if outcome.error is not None:
                self._errors[name] = self._control.excused(name, outcome.error)
            elif outcome.value is not None:
                self._made.setdefault(name, []).extend(outcome.value)

    def _converge(self, router: engine.Router, intent: Intent) -> tuple[Change, ...]:
        assert router.observed is not None
        quiet = router.observed.guard is None and not router.observed.leftovers
        changes = engine.chosen(engine.compare(router, intent).changes, intent)
        if quiet and not changes:
            return ()
        self._refuse_cutting(router, changes)
        self._still_ours()
        if self._safety.unguarded or router.limits.guard == "none":
            resolve_left_over(router, self._run_id, self._journal)
            return engine.converge(router, intent, plan_id=self._run_id, journal=self._journal)
        guarded = Guarded(router, intent, self._run_id, self._journal, self._safety.confirm_within, healthy=self._proof.healthy)
        return guarded.converge()

    def _stop(self, culprit: str, names: Sequence[str]) -> None:
        self._stopped = culprit
        self._journal.record("", STOPPED, f"{culprit} did not come through; {len(names)} not begun", {NOT_BEGUN: list(names)})
        for name in names:
            self._errors[name] = self._held(name, "not begun")

    def _kind(self, name: str) -> Kind:
        router, observed = self._fleet.routers[name], self._survey.routers[name].observed
        return Kind(router.driver, router.role, observed.version if observed else "")

    def _intent(self, name: str) -> Intent:
        """Computed once per stage: it is asked for several times, and a large mesh has many peers."""
        known = self._intents.get(name)
        if known is None:
            known = self._intents[name] = self._new_intent(name)
        return known

    def _new_intent(self, name: str) -> Intent:
        assert self._desired is not None
        intent = replace(self._control.intent(name, self._desired, self._prepared), private_keys=self._escrowed(name))
        observed = self._survey.routers[name].observed
        if self._union and observed is not None:
            intent = replace(intent, configuration=union(intent.configuration, name, self._union, observed.stored))
        self._control.refuse_lost_key(self._survey.routers[name], self._facts[name], intent)
        return intent

    # ------------------------------------------------------------------------------------------------ liveness
    def _judge(self) -> None:
        """Wait for the tunnels that this run wrote; say of every other router what its last read shows."""
        touched = {name for name, made in self._made.items() if made}
        sessions = self._sessions()
        due = [session for session in sessions if touched & {session.one, session.other}]
        self._hurry(due)
        self._knock(session for session in due if session.verdict == "idle" and session.age is None)
        if any(session.verdict != "alive" for session in due):
            sessions = self._awaited(touched)
        for session in sessions:
            if session.verdict == "waiting":
                self._waiting.setdefault(session.dialler, session.other if session.dialler == session.one else session.one)

    def _sessions(self) -> list[Session]:
        assert self._desired is not None
        observed = {name: read for name, read in self._survey.observed().items() if name not in self._errors}
        wanted = {name: self._configuration(name) for name in observed}
        pairs = [(pair[0], pair[1]) for pair in self._desired.pairs]
        return judge(pairs, self._facts, wanted, observed, self._younger_than)

    def _configuration(self, name: str) -> Configuration:
        assert self._desired is not None
        if name not in self._configurations:
            self._configurations[name] = self._desired.configuration(name)
        return self._configurations[name]

    def _younger_than(self, one: str, other: str) -> float:
        broken = self._broken.get(frozenset((one, other)))
        return FRESH_SECONDS if broken is None else min(FRESH_SECONDS, time.monotonic() - broken + CLOCK_STEP)

    def _hurry(self, sessions: Iterable[Session]) -> None:
        """Force the handshakes that this run's changes made necessary, on the end that dials: measured, 9 ms against 15 s."""
        diallers: dict[str, set[str]] = {}
        for session in sessions:
            if session.verdict == "waiting" and frozenset((session.one, session.other)) in self._broken:
                far = session.other if session.dialler == session.one else session.one
                diallers.setdefault(session.dialler, set()).add(far)

        def hurry(name: str) -> None:
            router = self._survey.routers[name]
            keys_of = {self._facts[far].public_key for far in diallers[name]}
            assert router.observed is not None
            for interface in router.observed.stored.values():
                for peer in interface.peers.values():
                    if peer.public_key in keys_of:
                        rehandshake(router, interface.name, peer)
            engine.observe(router)

        reachable = [name for name in diallers if name in self._survey.routers and name not in self._errors]
        self._control.runner.run(hurry, reachable)

    def _awaited(self, touched: set[str]) -> list[Session]:
        """Read again until every tunnel of the touched routers lives, or its time is over; hubs tell for their spokes."""

        def look() -> list[Session]:
            pending = [s for s in self._sessions() if touched & {s.one, s.other} and s.verdict == "waiting"]
            listeners = {session.one if session.dialler == session.other else session.other for session in pending}
            names = {name if name in self._survey.routers else None for name in listeners}
            readers = [name for name in names if name is not None and name not in self._errors]
            self._control.runner.run(lambda name: engine.observe(self._survey.routers[name]), readers)
            return self._sessions()

        attempts = Retrying(
            retry=retry_if_result(lambda found: any(s.verdict == "waiting" and touched & {s.one, s.other} for s in found)),
            wait=wait_fixed(1),
            stop=stop_after_delay(self._alive_within),
        )
        try:
            return attempts(look)
        except RetryError as error:
            return list(error.last_attempt.result())

    def _knock(self, sessions: Iterable[Session]) -> None:
        """Send one packet through each tunnel that nobody keeps alive, so that it shows whether it can live."""
        asks: dict[str, list[Ask[ProbeResult]]] = {}
        for session in sessions:
            for near, far in ((session.one, session.other), (session.other, session.one)):
                ask = self._probe(near, far)
                if ask is not None:
                    asks.setdefault(near, []).append(ask)
                    break

        def knock(name: str) -> None:
            router = self._survey.routers[name]
            for ask in asks[name]:
                try:
                    router.link.send_all(ask.requests)
                except RouterError as error:
                    router.say("verify", f"probe: {error.summary}")
            engine.observe(router)

        self._control.runner.run(knock, asks)

    def _probe(self, near: str, far: str) -> Ask[ProbeResult] | None:
        """A ping from `near` to the overlay address of `far`; None where it cannot be sent, or `far` is known not to answer."""
        router = self._survey.routers.get(near)
        if router is None or router.observed is None or {near, far} & {*self._errors, *self._survey.errors}:
            return None
        sources = {address.version: address for address in self._facts[near].addresses}
        target = next((address for address in self._facts[far].addresses if address.version in sources), None)
        if target is None:
            return None
        return router.driver.probe(Probe(target, sources[target.version], count=1), router.observed)

    # ------------------------------------------------------------------------------------------------- results
    def _remember(self) -> None:
        """What is confirmed is what a fresh read showed: the base for telling intent from drift next time."""
        assert self._desired is not None
        self._control.remember(
            {
                name: (self._configuration(name), router.observed.version)
                for name, router in ((name, self._survey.routers[name]) for name in self._writable())
                if self._prepared.selection.filter(name) is None and router.observed is not None
            }
        )

    def _report(self) -> FleetReport:
        assert self._desired is not None
        report = FleetReport("sync", self._overlay, notes=[*self._prepared.notes, *self._desired.notes])
        report.not_enrolled = [n for n in self._desired.not_enrolled if n in self._prepared.selection.names]
        report.run = self._run_id
        for name in self._prepared.selection.names:
            report.routers.append(self._one(name))
        for router in report.routers:
            self._control.emit(Event(router.router, "done", router.outcome))
        lines = [(router.router, "outcome", router.outcome, {"summary": router.summary}) for router in report.routers]
        engine.record_all(self._journal, lines)
        return report

    def _one(self, name: str) -> RouterReport:
        report = self._control.blank(name, self._prepared)
        made = self._made.get(name, ())
        self._control.describe(report, made)
        if name in self._errors:
            return failed(report, self._errors[name])
        if name not in self._survey.routers:
            return self._control.absent(report, self._prepared)
        observed = self._survey.routers[name].observed
        report.version = observed.version if observed else ""
        report.outcome = "changed" if made else "in sync"
        if name in self._waiting:
            report.outcome = "waiting"
            report.summary = f"configured, no handshake yet with {self._waiting[name]}"
            report.hint = (
                "check that UDP reaches the endpoint from there; `fleet status` shows when it comes up, nothing else is needed"
            )
        return report


def _bare(interface: Interface, key: PublicKey | KeyOf) -> Interface:
    return Interface(
        name=interface.name,
        public_key=key,
        listen_port=interface.listen_port,
        mtu=interface.mtu,
        mark=interface.mark,
        unmanaged=interface.unmanaged,
    )


def _broke(error: FleetError | None) -> bool:
    """True if a router failed or was rolled back: not for one that went offline, and not for one that was refused."""
    return isinstance(error, RouterError) and error.outcome in ("failed", "rolled back")
