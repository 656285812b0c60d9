"""Deadlines on the host's clock, real or virtual."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from .._nodes import Clock

_log = logging.getLogger(__name__)


@dataclass
class _Timer:
    deadline: float
    action: Callable[[], None]
    period: float | None


class Timers:
    """Runs actions when the clock passes their deadline. Its thread exists only while a deadline does."""

    POLL = 0.02  # seconds of real time: how late a virtual clock's jump is noticed

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: dict[str, _Timer] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def at(self, name: str, delay: float, action: Callable[[], None], period: float | None = None) -> None:
        """Run `action` in `delay` seconds, then every `period` seconds if given."""
        with self._lock:
            self._timers[name] = _Timer(self._clock.now() + delay, action, period)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name="timers", daemon=True)
                self._thread.start()

    def cancel(self, name: str) -> None:
        """Forget a timer."""
        with self._lock:
            self._timers.pop(name, None)

    def names(self) -> list[str]:
        """Armed timers."""
        with self._lock:
            return list(self._timers)

    def fires_in(self, name: str) -> float | None:
        """Seconds until a timer fires, None if it is not armed."""
        with self._lock:
            timer = self._timers.get(name)
            return None if timer is None else timer.deadline - self._clock.now()

    def clear(self) -> None:
        """Power off: no timer survives."""
        with self._lock:
            self._timers.clear()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self.clear()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)

    def _loop(self) -> None:
        while not self._stop.wait(self.POLL):
            with self._lock:
                if not self._timers:
                    self._thread = None
                    return
                now = self._clock.now()
                due = [(name, timer) for name, timer in self._timers.items() if timer.deadline <= now]
                for name, timer in due:
                    if timer.period is None:
                        del self._timers[name]
                    else:
                        timer.deadline = now + timer.period
            for name, timer in due:
                try:
                    timer.action()
                except Exception:  # noqa: BLE001 - a unit that fails must not stop the others
                    _log.debug("timer %s failed", name, exc_info=True)
