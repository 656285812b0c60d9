"""The writer's marker on hubs: operators without a common database refuse each other by it.

It is put there before the first write of a run and by no run that writes nothing, read back, renewed while the run lasts and
taken off at its end; after a crash it is over by the hub's own clock. The hub refuses it while another owner's stands. Who runs
on the same machine sees whether that owner is gone and does not wait. Drivers without a place for it have none, and hubs
that did not answer neither: the lock in the state holds anyway.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from contextlib import suppress
from typing import Final

from .. import engine
from ..errors import FleetError, LockHeld, Rejected, RouterError
from ..state import Owner
from ..state.machine import start_time
from .course import Course

MARK_SECONDS: Final = 120
RENEW_SECONDS: Final = 20.0
"""How long a marker stands by the hub's clock, and how often it is renewed."""

_SIGNATURE: Final = re.compile(r" #([0-9a-f]{8})-(\d{1,10})-([0-9a-f]{8})$")


def owner_text(owner: Owner, run_id: str) -> str:
    """Who writes, since when (the run's name says it), and which process of which boot that is; printable ASCII on one line."""
    who = re.sub(r"[^A-Za-z0-9@._+-]", "?", owner.actor)[:40]
    host = re.sub(r"[^A-Za-z0-9._-]", "?", owner.host)[:40]
    return f"{who} on {host} in run {run_id} #{_short(owner.host + owner.boot_id)}-{owner.pid}-{_short(owner.start_time)}"


def provably_gone(text: str, seen_from: Owner) -> bool:
    """True if the process that such a text names ran on this machine, since its last start, and has ended."""
    found = _SIGNATURE.search(text)
    if found is None or not seen_from.boot_id or found[1] != _short(seen_from.host + seen_from.boot_id):
        return False
    started = start_time(int(found[2]))
    return started is None or _short(started) != found[3]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class Markers:
    """The markers of one run. `hold` and `release` are called while no router is being worked on."""

    def __init__(self, course: Course, owner: Owner) -> None:
        self._course = course
        self._owner = owner
        self._text = owner_text(owner, course.run_id)
        self._held: dict[str, engine.Router] = {}
        self._seen: set[str] = set()
        self._lost: LockHeld | None = None
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew_for_ever, name="fleet-marker", daemon=True)

    def hold(self) -> None:
        """Put the marker on every hub that answered, may be written and has none of this run yet, and read it back.

        Raises LockHeld when another owner's stands on one, whether or not it may be written. A hub that fails meanwhile is out
        of the run.
        """
        course = self._course
        hubs = [name for name in course.survey.routers if course.is_hub(name) and name not in self._seen | course.errors.keys()]
        if hubs:
            course.still_ours()
        for name in sorted(hubs):  # everybody in the same order, so that of two that begin at once one finds none
            self._seen.add(name)
            try:
                if not course.may_write(name):
                    self._refuse_living(course.survey.routers[name])
                elif self._take(course.survey.routers[name]):
                    self._held[name] = course.survey.routers[name]
            except RouterError as error:
                course.failed(name, error)
        if self._held and not self._renewing.is_alive():
            self._renewing.start()

    def check(self) -> None:
        """Call before a router is written. Raises LockHeld if another owner's marker stands where this run's was."""
        if self._lost is not None:
            raise self._lost

    def release(self) -> None:
        """Take the markers off. Those that cannot be taken off are over by themselves."""
        self._ended.set()
        if self._renewing.is_alive():
            self._renewing.join()
        # Whoever took the lock over may have marked the hubs, too: theirs is not taken off.
        with suppress(FleetError):
            if self._held:
                self._course.still_ours()
                self._course.control.runner.run(self._take_off, tuple(self._held))

    # ------------------------------------------------------------------------------------------------- one hub
    def _take(self, router: engine.Router) -> bool:
        """Put it there and read it back; False where there is no place for one. Raises LockHeld, RouterError."""
        assert router.observed is not None
        if router.driver.mark(self._text, MARK_SECONDS, router.observed) is None:
            return False
        router.link.ask("marker")
        if self._other(router):
            engine.observe(router)  # the run that was seen there may have ended since
        for _ in range(2):
            self._clear(router)
            try:
                self._put(router)
            except Rejected:
                engine.observe(router)
                if not self._other(router):
                    raise
                continue
            marker = engine.observe(router).marker
            if marker is not None and marker.owner == self._text:
                return True
        raise self._refusal(router)

    def _clear(self, router: engine.Router) -> None:
        """Take off what a process left that is gone. Raises LockHeld for the marker of one that may live."""
        self._refuse_living(router)
        other = self._other(router)
        if not other:
            return
        self._send(router, "")
        engine.observe(router)
        self._course.prepared.notes.append(f"{router.name}: took over from {_shown(other)}, whose process is gone")

    def _refuse_living(self, router: engine.Router) -> None:
        other = self._other(router)
        if other and not provably_gone(other, self._owner):
            raise self._refusal(router)

    def _put(self, router: engine.Router) -> None:
        self._send(router, self._text)

    def _send(self, router: engine.Router, owner: str) -> None:
        assert router.observed is not None
        for request in router.driver.mark(owner, MARK_SECONDS if owner else 0, router.observed) or ():
            router.link.send(request)  # one after the other: a vendor may have to remove before it adds

    def _other(self, router: engine.Router) -> str:
        """Whose marker stands there, empty if nobody else's does."""
        marker = router.observed.marker if router.observed is not None else None
        return marker.owner if marker is not None and marker.expires_in > 0 and marker.owner != self._text else ""

    def _refusal(self, router: engine.Router) -> LockHeld:
        marker = router.observed.marker if router.observed is not None else None
        who = _shown(marker.owner) if marker is not None else "somebody who does not say who"
        left = f"; its marker on {router.name} stands for {marker.expires_in:.0f} s more" if marker is not None else ""
        more = " more" if any(self._course.made.values()) else ""
        return LockHeld(
            f"{self._course.overlay} is being written by {who}{left}",
            f"nothing{more} was written by this run; wait until that one has ended, or its marker is over if it was killed. "
            "Operators of one fleet see each other at once with a common --state",
        )

    def _take_off(self, name: str) -> None:
        self._send(self._held[name], "")

    # ------------------------------------------------------------------------------------------------ renewing
    def _renew_for_ever(self) -> None:
        """Over connections of its own: those of the run are in use."""
        own: dict[str, engine.Router] = {}
        while self._lost is None and not self._ended.wait(RENEW_SECONDS):
            for name in tuple(self._held):
                if name not in own:
                    own[name] = self._course.control.reach.router(name)
                    own[name].observed = self._held[name].observed
                # A hub that cannot be reached now is asked again; if another owner came meanwhile, it says so then.
                with suppress(FleetError):
                    self._renew(own[name])
        for router in own.values():
            router.link.close()

    def _renew(self, router: engine.Router) -> None:
        try:
            self._put(router)
        except RouterError:
            router.fresh()
            router.link.ask("marker")
            engine.observe(router)
            if self._other(router):
                self._lost = self._refusal(router)
                return
            self._put(router)


def _shown(owner: str) -> str:
    """An owner as people read it: without the signature, and with the time at which its run began."""
    text = _SIGNATURE.sub("", owner)
    began = re.search(r"run (\d{8}-\d{6})-", text)
    if began is None:
        return text
    at = time.strptime(began[1], "%Y%m%d-%H%M%S")
    return f"{text}, since {time.strftime('%H:%M:%S', at)} UTC"
