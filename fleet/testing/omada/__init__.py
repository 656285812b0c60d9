"""A simulated TP-Link Omada controller with many sites, on real HTTPS; every gateway is a node of the ether."""

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
