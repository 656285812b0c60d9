"""Seconds on the wall and on the processor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """How long a piece of work took and what came of it. `cpu` is without the simulated MikroTik routers' thread."""

    value: T
    wall: float
    cpu: float


def timed(work: Callable[[], T]) -> Timed[T]:
    """Do it and measure."""
    wall, cpu, simulated = time.perf_counter(), time.process_time(), _simulated()
    value = work()
    return Timed(value, time.perf_counter() - wall, time.process_time() - cpu - (_simulated() - simulated))


def _simulated() -> float:
    """Processor seconds of the thread in which every simulated MikroTik router runs."""
    for thread in threading.enumerate():
        if thread.name == "routeros-farm" and thread.ident is not None and hasattr(time, "pthread_getcpuclockid"):
            return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return 0.0
