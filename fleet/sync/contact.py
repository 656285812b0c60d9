"""First contact: interface and key on every reachable router that has none, read back and pinned, before any peer."""

from __future__ import annotations

from dataclasses import replace

from .. import engine, keys
from ..back import DesiredState
from ..changes import AddInterface
from ..engine import Intent
from ..errors import RouterError
from ..model import Fact, Interface, KeyOf, PublicKey, Secret
from ..rebuild import own_interface
from .course import Course
from .marker import Markers


class FirstContact:
    """The part of a sync that makes keys."""

    def __init__(self, course: Course, markers: Markers) -> None:
        self._course = course
        self._markers = markers

    def run(self) -> None:
        """Make, read back and pin the keys that are missing; a router that fails is out of the run. Raises LockHeld."""
        course = self._course
        if not self._new():
            return
        self._markers.hold()
        desired = course.control.desired(course.facts, course.prepared.addresses)
        made: dict[str, Fact] = {}
        for name, outcome in course.control.runner.run(lambda name: self._contact(name, desired), self._new()).items():
            if outcome.error is not None:
                course.failed(name, outcome.error)
            elif outcome.value is not None:
                made[name] = course.facts[name] = replace(course.facts[name], public_key=outcome.value)
        course.control.state.pin_all(course.overlay, made)
        engine.record_all(course.journal, [(name, "pin", f"public key {fact.public_key}", None) for name, fact in made.items()])

    def _new(self) -> list[str]:
        course = self._course
        return [
            name
            for name in course.survey.routers
            if course.facts[name].public_key is None and course.may_write(name) and name not in course.errors
        ]

    def _contact(self, name: str, desired: DesiredState) -> PublicKey:
        course = self._course
        course.still_ours()
        router = course.survey.routers[name]
        made = self._private_keys(name)
        bare = {
            interface.name: _bare(interface, keys.public_key_of(made[interface.name]) if made else KeyOf(name))
            for interface in desired.configuration(name).values()
        }
        intent = Intent(bare, wanted=lambda change: isinstance(change, AddInterface), private_keys=made)
        changes = engine.converge(
            router, intent, plan_id=course.run_id, journal=course.journal, achieved="interface and key made"
        )
        course.wrote(name, changes)
        return self._read_back(router)

    def _read_back(self, router: engine.Router) -> PublicKey:
        assert router.observed is not None
        interface = own_interface(router.observed, self._course.fleet, router.name)
        if interface is None or not isinstance(interface.public_key, PublicKey):
            raise RouterError(
                f"{router.name}: made the interface and shows no public key",
                f"look at it with `fleet show {router.name}`, then run `fleet sync {router.name}` again",
                router=router.name,
            )
        return interface.public_key

    def _private_keys(self, name: str) -> dict[str, Secret]:
        """Keys that must be sent: escrowed ones, and those of routers that cannot make their own; by interface name."""
        control = self._course.control
        escrow = control.custody(name) == "escrow"
        if not escrow and self._course.survey.routers[name].limits.makes_keys:
            return {}
        private_key = keys.new_private_key()
        public_key = keys.public_key_of(private_key)
        custody = "escrow" if escrow else "device"
        self._course.journal.record(name, "key", f"made public key {public_key}", {"custody": custody})
        if escrow:
            assert control.secret is not None
            control.keep_in_escrow(name, keys.seal(control.secret, name, private_key), public_key)
        return {self._course.fleet.routers[name].interface: private_key}


def _bare(interface: Interface, key: PublicKey | KeyOf) -> Interface:
    return Interface(
        name=interface.name,
        public_key=key,
        listen_port=interface.listen_port,
        mtu=interface.mtu,
        mark=interface.mark,
        unmanaged=interface.unmanaged,
    )
