"""A simulated MikroTik router that speaks the RouterOS API on loopback; hundreds fit into one process."""

from .certificates import Certificate, self_signed
from .commands import Command
from .farm import RouterosFarm
from .faults import Counters, Fault, Latency
from .simulator import RouterosSimulator
from .system import Firing
from .values import Refused

__all__ = [
    "Certificate",
    "Command",
    "Counters",
    "Fault",
    "Firing",
    "Latency",
    "Refused",
    "RouterosFarm",
    "RouterosSimulator",
    "self_signed",
]
