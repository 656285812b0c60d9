"""The laws of the writer's marker, inherited by every driver's contract test.

A driver without a place for one answers None, and nothing more is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..driver import Marker, Observed
from ..errors import Rejected
from .cases import INTERFACE, State
from .subject import Subject

SECONDS = 120
"""How long the marker stands."""

ONE, TWO = "raj@noc-1", "mei@noc-2"


class MarkerLaws:
    """On one device, by two writers."""

    @pytest.fixture
    def marked(self, blank: Subject) -> Subject | None:
        """A device that carries the marker of the first writer; None where it has no place for one."""
        blank.converge(State())
        blank.device.plant(INTERFACE)
        return blank if _mark(blank, ONE, _read(blank)) else None

    def test_the_writers_marker_is_read_back_and_changes_nothing_else(self, blank: Subject) -> None:
        """It is no configuration: no difference, nothing of ours, nothing of others."""
        blank.converge(State())
        blank.device.plant(INTERFACE)
        before = blank.observe(), blank.device.ours(), blank.device.foreign()
        if not _mark(blank, ONE, _read(blank)):
            return
        observed = _read(blank)
        assert observed.marker is not None
        assert observed.marker.owner == ONE
        assert 0 < observed.marker.expires_in <= SECONDS
        assert (observed.stored, observed.running) == (before[0].stored, before[0].running)
        assert (blank.device.ours(), blank.device.foreign()) == before[1:]
        assert blank.differences(State()) == ()

    def test_another_writer_is_refused_by_the_router_itself(
        self, marked: Subject | None, another: Callable[[], Subject]
    ) -> None:
        """Also one who read before the first marker stood."""
        if marked is None:
            return
        fresh = another()
        fresh.converge(State())
        unmarked = _read(fresh)
        for seen in (_read(marked), unmarked):
            with pytest.raises(Rejected):
                _mark(marked, TWO, seen)
        assert _owner(marked) == ONE

    def test_a_renewed_marker_stands_for_its_whole_time_again(self, marked: Subject | None) -> None:
        """From a read made while it stood."""
        if marked is None:
            return
        for _ in range(3):
            marked.device.advance(SECONDS - 20)
            _mark(marked, ONE, _read(marked))
        marker = _read(marked).marker
        assert marker is not None
        assert marker.expires_in > SECONDS - 20

    def test_a_marker_that_is_over_stands_in_nobodys_way(self, marked: Subject | None) -> None:
        """By the router's own clock."""
        if marked is None:
            return
        marked.device.advance(SECONDS + 2)
        assert _standing(_read(marked).marker) is None
        _mark(marked, TWO, _read(marked))
        assert _owner(marked) == TWO

    def test_a_marker_that_was_taken_off_is_gone(self, marked: Subject | None) -> None:
        """And the next writer can put his on at once."""
        if marked is None:
            return
        _mark(marked, "", _read(marked))
        assert _read(marked).marker is None
        _mark(marked, TWO, _read(marked))
        assert _owner(marked) == TWO


def _read(subject: Subject) -> Observed:
    subject.router.link.ask("marker")
    return subject.observe()


def _mark(subject: Subject, owner: str, seen: Observed) -> bool:
    """One request after the other; False where there is no place."""
    requests = subject.driver.mark(owner, SECONDS if owner else 0, seen)
    for request in requests or ():
        subject.router.link.send(request)
    return requests is not None


def _standing(marker: Marker | None) -> Marker | None:
    return marker if marker is not None and marker.expires_in > 0 else None


def _owner(subject: Subject) -> str | None:
    marker = _standing(_read(subject).marker)
    return marker.owner if marker else None
