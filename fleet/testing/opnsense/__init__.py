"""A simulated OPNsense firewall that answers its REST API over HTTPS on loopback.

Releases 23.1 to 26.7, as the sheet and the captures tell them apart. What they do not say is marked unverified where it stands:
ids of some privileges, the shape of the interface overview and of the firmware pages, how a full disk shows. Not simulated:
the GUI and its sessions, CARP, IPsec and the like, one-to-one NAT and port forwards, the ACL's cache, a truncated config.xml.
"""

from .cron import ConfigdAction, restore
from .simulator import KEY, SECRET, OpnsenseSimulator, Refusal
from .users import User

__all__ = ["KEY", "SECRET", "ConfigdAction", "OpnsenseSimulator", "Refusal", "User", "restore"]
