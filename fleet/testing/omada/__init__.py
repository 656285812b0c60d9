"""A simulated TP-Link Omada controller with many sites, on real HTTPS; every gateway is a node of the ether.

```python
ether = Ether()
hq = Site("hq", Gateway("hq", public_hosts=("198.51.100.10",), lans=("192.168.1.1/24",), delay=2.0))
pune = Site("pune", Gateway("pune", lans=("192.168.30.1/24",)))  # behind carrier NAT
with OmadaSimulator("6.0", [hq, pune], ether=ether) as controller:
    controller.url, controller.omadac_id, controller.client_id, controller.client_secret, controller.certificate.fingerprint
    controller.gateway("pune").enter("offline")              # stored, not delivered
    controller.fault("POST /vpn/wireguards", "lost_reply")   # done, and answered -1
```

As strict as the sheet, and where that is silent the stricter of two readings: see `Strictness`, and `LENIENT` for the other.
"""

from ..certificates import Certificate, self_signed
from .access import ADMIN, VIEWER, Application
from .device import OmadaGateway
from .faults import Counters, Fault
from .gateway import Gateway
from .phases import Firmware, Phase
from .settings import Peer, Tunnel
from .simulator import OmadaSimulator
from .site import Site
from .strictness import LENIENT, Strictness

__all__ = [
    "ADMIN",
    "LENIENT",
    "VIEWER",
    "Application",
    "Certificate",
    "Counters",
    "Fault",
    "Firmware",
    "Gateway",
    "OmadaGateway",
    "OmadaSimulator",
    "Peer",
    "Phase",
    "Site",
    "Strictness",
    "Tunnel",
    "self_signed",
]
