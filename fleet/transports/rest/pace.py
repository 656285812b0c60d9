"""A limit on requests per second that many threads share."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

MARGIN = 1.05
"""Requests travel: those sent a second apart may arrive in a little less."""


class Pace:
    """At most `rate` requests in any second, in the order of asking. Thread-safe.

    Not a bucket that refills: its burst, and what refills meanwhile, would be twice the rate within one second.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        whole = max(1, int(rate)) if rate else 0
        self._span = whole / rate * MARGIN if rate else 0.0
        self._turns: deque[float] = deque(maxlen=whole)
        self._limited = bool(rate)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._closed_until = 0.0

    def turn(self) -> None:
        """Return when the next request may go."""
        with self._lock:
            now = self._clock()
            at = max(now, self._closed_until)
            if self._limited:
                if len(self._turns) == self._turns.maxlen:
                    at = max(at, self._turns[0] + self._span)
                self._turns.append(at)
        if at > now:
            self._sleep(at - now)

    def rest(self, seconds: float) -> None:
        """The endpoint asked for a pause: nobody's turn comes before it is over."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)
