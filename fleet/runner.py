"""The only concurrency of fleet: the same task on many routers, never more than `parallel` at once.

Routers behind one endpoint (a controller, a jump) share a limit of their own. A failure on one router never stops another:
the task answers with a value for each, and what it raises belongs to that router alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Outcome(Generic[T]):
    """What a task made of one router: a value, or the exception it raised."""

    __slots__ = ("error", "value")

    def __init__(self, value: T | None = None, error: Exception | None = None) -> None:
        self.value = value
        self.error = error


class Runner(Protocol):
    """Runs a task once per name. Local threads are one way; a scheduler's workers may be another."""

    def run(self, task: Callable[[str], T], names: Iterable[str]) -> Mapping[str, Outcome[T]]:
        """Every name with its value or error, in the order given. Raises only KeyboardInterrupt."""


class LocalRunner:
    """Threads in this process: all client libraries block, and round trips dominate.

    `endpoint` says what a router's requests meet at; at most `per_endpoint` tasks of one endpoint run at once.
    """

    def __init__(
        self,
        parallel: int = 20,
        *,
        endpoint: Callable[[str], str] = str,
        per_endpoint: int = 8,
    ) -> None:
        self._parallel = max(1, parallel)
        self._endpoint = endpoint
        self._per_endpoint = per_endpoint

    def run(self, task: Callable[[str], T], names: Iterable[str]) -> Mapping[str, Outcome[T]]:
        """Every name with its value or error, in the order given.

        On Ctrl-C the tasks not yet started are dropped and the running ones are awaited: a router is never left between
        two requests by the operator's impatience.
        """
        ordered = list(names)
        done: dict[str, Outcome[T]] = {}
        gates: dict[str, threading.Semaphore] = {
            self._endpoint(name): threading.Semaphore(self._per_endpoint) for name in ordered
        }

        def one(name: str) -> T:
            with gates[self._endpoint(name)]:
                return task(name)

        workers = min(self._parallel, max(1, len(ordered)))
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fleet") as pool:
            waiting: dict[Future[T], str] = {pool.submit(one, name): name for name in ordered}
            try:
                while waiting:
                    finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        done[waiting.pop(future)] = _outcome(future)
            except KeyboardInterrupt:
                for future in waiting:
                    future.cancel()
                raise
        return {name: done[name] for name in ordered}


def _outcome(future: Future[T]) -> Outcome[T]:
    error = future.exception()
    if error is None:
        return Outcome(future.result())
    if isinstance(error, Exception):
        return Outcome(error=error)
    raise error
