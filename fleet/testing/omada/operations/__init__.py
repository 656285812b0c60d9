"""Every operation of the simulated Open API; importing this registers them."""

from . import automatic, batch, interfaces, maintenance, roaming, sites, tunnels
from .registry import NOTHING, Call, Operation, find

__all__ = [
    "NOTHING",
    "Call",
    "Operation",
    "automatic",
    "batch",
    "find",
    "interfaces",
    "maintenance",
    "roaming",
    "sites",
    "tunnels",
]
