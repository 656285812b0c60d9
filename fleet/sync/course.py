"""Where one run stands: what was read, what was written, what became of every router. Shared by the parts of a sync."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..back import DesiredState
from ..changes import Change
from ..control import Controller, Prepared, Survey
from ..driver import Observed
from ..engine import Journal
from ..errors import FleetError, HeldBack
from ..model import Configuration, Fact, Fleet, IPAddress
from ..proof import Proof, renews_session
from ..safety import Safety
from ..waves import Kind


@dataclass(slots=True)
class Course:
    """One run. `still_ours` raises LockHeld when somebody took the fleet's lock over meanwhile.

    made              changes written, by router
    errors            why a router is out of this run; it is neither read nor written any more
    broken            pairs whose session a change of this run broke, with the monotonic second when that began
    stopped           the router that ended the run for all that were not begun, empty if none did
    proven            kinds that need no canary
    addresses_before  overlay addresses at which routers were known when the run began
    """

    control: Controller
    prepared: Prepared
    journal: Journal
    run_id: str
    safety: Safety
    still_ours: Callable[[], None]
    proof: Proof
    desired: DesiredState | None = None
    made: dict[str, list[Change]] = field(default_factory=dict)
    errors: dict[str, FleetError] = field(default_factory=dict)
    broken: dict[frozenset[str], float] = field(default_factory=dict)
    stopped: str = ""
    proven: frozenset[Kind] = frozenset()
    addresses_before: Mapping[str, tuple[IPAddress, ...]] = field(init=False)
    _configurations: dict[str, Configuration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.addresses_before = {name: fact.addresses for name, fact in self.prepared.facts.items()}

    @property
    def fleet(self) -> Fleet:
        """The inventory."""
        return self.control.fleet

    @property
    def overlay(self) -> str:
        """The name of the overlay."""
        return self.control.fleet.overlay.name

    @property
    def facts(self) -> dict[str, Fact]:
        """Keys and addresses as far as they are known by now."""
        return self.prepared.facts

    @property
    def survey(self) -> Survey:
        """The routers that answered, and why the others did not."""
        return self.prepared.survey

    def may_write(self, name: str) -> bool:
        """True if the selection allows it."""
        return name in self.prepared.selection.writable

    def writable(self) -> list[str]:
        """Routers that answered, have a key, and are not out of this run."""
        return [
            name
            for name in self.survey.routers
            if name not in self.errors and self.may_write(name) and self.facts[name].public_key is not None
        ]

    def is_hub(self, name: str) -> bool:
        """True for hubs, which learn before the others switch and forget after."""
        return self.fleet.routers[name].role == "hub"

    def kind(self, name: str) -> Kind:
        """What a canary of this router stands for."""
        router, observed = self.fleet.routers[name], self.survey.routers[name].observed
        return Kind(router.driver, router.role, observed.version if observed else "")

    def observed(self) -> dict[str, Observed]:
        """The last reads of all routers that are not out of this run."""
        return {name: read for name, read in self.survey.observed().items() if name not in self.errors}

    def configuration(self, name: str) -> Configuration:
        """What a router shall be in the end, preshared keys not derived; computed once."""
        assert self.desired is not None
        if name not in self._configurations:
            self._configurations[name] = self.desired.configuration(name)
        return self._configurations[name]

    def wrote(self, name: str, changes: Iterable[Change], began: float = 0.0) -> None:
        """Note changes that were written, and the sessions they broke at that monotonic second."""
        changes = tuple(changes)
        self.made.setdefault(name, []).extend(changes)
        for change in changes:
            if began and renews_session(change) and change.wanted.mark is not None:
                self.broken[frozenset((name, change.wanted.mark.name))] = began

    def failed(self, name: str, error: Exception) -> None:
        """Take a router out of the run, with the error it ended with."""
        self.errors[name] = self.control.excused(name, error)

    def ask_again(self, names: Iterable[str]) -> list[str]:
        """Read routers that did not answer before; those that do now are part of the run from here on."""
        found = self.control.survey(names)
        for name, router in found.routers.items():
            del self.survey.errors[name]
            self.survey.routers[name] = router
        self.survey.errors.update(found.errors)
        return list(found.routers)

    def held_back(self, name: str, what: str, left: str = "") -> HeldBack:
        """The error of a router that a run which stopped leaves undone."""
        culprit = self.stopped
        return HeldBack(
            f"{name}: {what}, because {culprit} did not come through the same change{left}",
            f"see what happened with `fleet history {self.run_id}`; without {culprit}: fleet sync --resume",
            router=name,
        )
