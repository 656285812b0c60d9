"""What a box has after installation: two ports, nothing of WireGuard."""

from __future__ import annotations

from .store import Config


def initial(name: str, lan: str, wan: str) -> Config:
    """The configuration. `lan` and `wan` are addresses with prefix length; the uplink's comes from DHCP."""
    return {
        "system": {"": {"hostname": name, "domain": "internal"}},
        "interfaces": {
            "wan": {"if": "em0", "descr": "", "enable": "1", "lock": "0", "ipaddr": wan, "type": "dhcp"},
            "lan": {"if": "em1", "descr": "", "enable": "1", "lock": "0", "ipaddr": lan, "type": "static"},
        },
        "ifgroups": {},
        "wireguard.general": {"": {"enabled": "0"}},
        "wireguard.server": {},
        "wireguard.client": {},
        "filter.rules": {},
        "filter.snat": {},
        "alias": {},
        "routes": {},
        "gateways": {},
        "cron": {},
    }
