"""A simulated EdgeRouter: EdgeOS's configuration backend, WireGuard templates and shell as far as fleet meets them."""

from __future__ import annotations

from .calls import User
from .device import EdgeOsDevice
from .simulator import EdgeOsSimulator
from .terminal import Terminal

__all__ = ["EdgeOsDevice", "EdgeOsSimulator", "Terminal", "User"]
