"""One thread that looks at the timers of every simulated box of the process a few times a second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

TICK: Final = 0.2


class Ticker:
    """Starts with the first box and ends with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickers: set[Callable[[], None]] = set()
        self._stop = threading.Event()

    def enter(self, ticker: Callable[[], None]) -> None:
        """One more."""
        with self._lock:
            self._tickers.add(ticker)
            if len(self._tickers) == 1:
                self._stop = threading.Event()
                threading.Thread(target=self._turn, args=(self._stop,), name="opnsense-ticker", daemon=True).start()

    def leave(self, ticker: Callable[[], None]) -> None:
        """One less."""
        with self._lock:
            self._tickers.discard(ticker)
            if not self._tickers:
                self._stop.set()

    def _turn(self, stop: threading.Event) -> None:
        while not stop.wait(TICK):
            for ticker in list(self._tickers):
                ticker()


TICKER: Final = Ticker()
