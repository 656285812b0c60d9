"""Every operation of the simulated Open API; importing this registers them."""

from . import batch, interfaces, maintenance, sites, tunnels
from .registry import NOTHING, Call, Operation, find

__all__ = ["NOTHING", "Call", "Operation", "batch", "find", "interfaces", "maintenance", "sites", "tunnels"]
