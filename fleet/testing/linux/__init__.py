"""A simulated Linux host: real shell scripts, stand-ins for everything they call, one simulated kernel."""

from ._call import Refused
from ._machine import Invocation
from .simulator import LinuxSimulator, Snapshot

__all__ = ["Invocation", "LinuxSimulator", "Refused", "Snapshot"]
