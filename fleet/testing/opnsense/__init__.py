"""A simulated OPNsense firewall that answers its REST API over HTTPS on loopback."""

from .cron import ConfigdAction, restore
from .simulator import KEY, SECRET, OpnsenseSimulator, Refusal
from .users import User

__all__ = ["KEY", "SECRET", "ConfigdAction", "OpnsenseSimulator", "Refusal", "User", "restore"]
