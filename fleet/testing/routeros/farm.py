"""One event loop in one thread for every simulated router of the process: hundreds cost one thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

TICK: Final = 0.2
"""Seconds of real time between looks at timers of simulated routers."""


class RouterosFarm:
    """The loop thread. Starts with the first server and ends with the last, so nothing is left behind at exit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tickers: set[Callable[[], None]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; RuntimeError when nothing is started."""
        if self._loop is None:
            raise RuntimeError("no simulated router is started: call start() first")
        return self._loop

    def enter(self, ticker: Callable[[], None]) -> None:
        """One more router. `ticker` is called a few times a second."""
        with self._lock:
            self._users += 1
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._turn, args=(self._loop,), name="routeros-farm", daemon=True)
                self._thread.start()
        self._loop.call_soon_threadsafe(self._tickers.add, ticker)

    def leave(self, ticker: Callable[[], None]) -> None:
        """One router less; the last one stops the thread."""
        with self._lock:
            self._users -= 1
            if self._loop is None:
                return
            self._loop.call_soon_threadsafe(self._tickers.discard, ticker)
            if self._users == 0 and self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop = self._thread = None

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the loop and wait for it. Not from the loop's own thread."""
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(timeout=30)

    def on_loop(self) -> bool:
        """True in the loop's own thread."""
        return threading.current_thread() is self._thread

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.call_soon(self._tick, loop)
        try:
            loop.run_forever()
            loop.run_until_complete(asyncio.sleep(0))  # transports that were closed last get rid of their sockets
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.close()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        for ticker in list(self._tickers):
            ticker()
        loop.call_later(TICK, self._tick, loop)


async def listen(
    protocol: Callable[[], asyncio.Protocol], host: str, port: int, context: ssl.SSLContext | None
) -> asyncio.AbstractServer:
    """Serve on a loopback address; port 0 takes a free one. Must run on the farm's loop."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        return await asyncio.get_running_loop().create_server(protocol, sock=listener, ssl=context, backlog=128)
    except BaseException:
        with contextlib.suppress(OSError):
            listener.close()
        raise


FARM: Final = RouterosFarm()
"""Used when a simulator is not given one."""
