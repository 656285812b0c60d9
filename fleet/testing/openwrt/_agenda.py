"""What a router's daemons have still to do, and until when: known until it is done, not only until it began."""

from __future__ import annotations

from collections.abc import Callable

from .._nodes import Clock
from ..linux._timers import Timers


class Agenda:
    """Deadlines by name on the router's clock. One of a name replaces the other."""

    def __init__(self, timers: Callable[[], Timers], clock: Callable[[], Clock]) -> None:
        self._timers, self._clock = timers, clock
        self._deadlines: dict[str, float] = {}

    def at(self, name: str, delay: float, action: Callable[[], None], period: float | None = None) -> None:
        """Run `action` in `delay` seconds, then every `period` seconds if given."""
        deadline = self._deadlines[name] = self._clock().now() + delay

        def run() -> None:
            try:
                action()
            finally:
                if period is not None and name in self._deadlines:
                    self._deadlines[name] = self._clock().now() + period
                elif self._deadlines.get(name) == deadline:
                    self._deadlines.pop(name, None)

        self._timers().at(name, delay, run, period)

    def cancel(self, name: str) -> None:
        """Forget it."""
        self._timers().cancel(name)
        self._deadlines.pop(name, None)

    def clear(self) -> None:
        """The power is gone, and every plan with it."""
        self._deadlines.clear()

    def busy(self, *soon: str) -> bool:
        """True while something is due, or something whose name begins with a word of `soon` will be."""
        now = self._clock().now()
        return any(deadline <= now or name.startswith(soon) for name, deadline in list(self._deadlines.items()))
