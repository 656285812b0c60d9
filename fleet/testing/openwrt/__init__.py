"""A simulated OpenWrt router: real shell scripts on UCI, ubus, netifd, fw4 and one simulated kernel."""

from .simulator import OpenWrtSimulator

__all__ = ["OpenWrtSimulator"]
