"""The nodes of an EdgeRouter that fleet and its neighbours use, and of what else a small office has in its configuration.

WireGuard as the templates of the package have it (sheet 1.2). The rest is what Vyatta 6.3 and EdgeOS have in common; what is
marked FREE takes anything: nothing here depends on it.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from .templates import FREE, Asked, Check, Template, between, flag, leaf, matches, node, one_of, tag

MEDIATEK: Final = frozenset({"e50"})
"""Boards with hardware NAT."""


def _address(value: str, asked: Asked) -> str | None:
    interface = ipaddress.ip_interface(value)
    network = interface.network
    if interface.ip == network.network_address and network.prefixlen < network.max_prefixlen - 1:
        return "Can not assign network address as IP address\n\n"
    return None


def _mtu(value: str, asked: Asked) -> str | None:
    if not 64 <= int(value) <= 8024:
        return "Must be between 64-8024\n\n"
    if int(value) > asked.max_mtu():
        return f"The max allowed MTU on this platform is {asked.max_mtu()}\n\n"
    return None


def _key_or_file(value: str, asked: Asked) -> str | None:
    right, said = asked.readable_key(value)
    return None if right else f"{said}\n\n" if said else ""


def _allowed_ips(value: str, asked: Asked) -> str | None:
    # Only the last of a comma list is really checked (sheet 1.2).
    try:
        ipaddress.ip_interface(value.rpartition(",")[2])
    except ValueError:
        return "Value must contain valid IP addresses\n\n"
    return None


def _mark(value: str, asked: Asked) -> str | None:
    if "!" in value:
        return "Modify mark can not be inverted with '!'\n\n"
    try:
        int(value, 0)
    except ValueError:
        return f'Invalid mark "{value}"\n\n'
    return None


def _text(what: str) -> Check:
    return lambda value, asked: None if 1 <= len(value) <= 256 else f"{what} is too long (limit 256 characters)\n\n"


_BINDING: Final = {"name": leaf("txt"), "ipv6_name": leaf("txt")}
_FIREWALL: Final = node(
    in_=node(modify=leaf("txt"), ipv6_modify=leaf("txt"), **_BINDING),
    out=node(modify=leaf("txt"), ipv6_modify=leaf("txt"), **_BINDING),
    local=node(**_BINDING),
)
_IP: Final = {
    "ip": node(
        source_validation=leaf("txt", one_of("strict", "loose", "disable")), ospf=FREE, rip=FREE, enable_proxy_arp=flag()
    ),
    "ipv6": FREE,
    "traffic_policy": FREE,
    "bandwidth": FREE,
}

_PEER: Final = tag(
    ("txt", matches(r"[0-9a-zA-Z+/]{43}=", "Key is not valid 44-character (32-bytes) base64")),
    461,
    allowed_ips=leaf("txt", _allowed_ips, multi=True, priority=462),
    description=leaf("txt", _text("peer description")),
    disable=flag(465),
    endpoint=leaf("txt", priority=920),
    persistent_keepalive=leaf("u32", between(1, 65535, "Value must be between 1 and 65535 seconds"), priority=463),
    preshared_key=leaf("txt", _key_or_file, priority=464, secret=True),
)
WIREGUARD: Final = tag(
    ("txt", matches(r"wg[0-9]+", "wg must be (wg0-wg999)")),
    459,
    address=leaf("ipv4net,ipv6net", _address, multi=True, priority=460),
    description=leaf("txt", _text("interface description"), priority=471),
    disable=flag(),
    down_command=leaf("txt"),
    firewall=_FIREWALL,
    fwmark=leaf("txt", _mark, priority=470),
    listen_port=leaf("u32", between(1, 65535, "Port must be between 1 and 65535"), priority=469),
    mtu=leaf("u32", _mtu, default="1420", priority=467),
    peer=_PEER,
    private_key=leaf("txt", _key_or_file, priority=466, secret=True),
    route_allowed_ips=leaf("bool", default="true", priority=468),
    up_command=leaf("txt"),
    **_IP,
)

_ETHERNET_PARTS: Final = {
    "address": leaf("txt", multi=True, priority=330),
    "description": leaf("txt", _text("interface description")),
    "disable": flag(),
    "duplex": leaf("txt", one_of("auto", "half", "full"), default="auto"),
    "speed": leaf("txt", one_of("auto", "10", "100", "1000"), default="auto"),
    "mtu": leaf("u32", between(68, 9000, "Must be between 68-9000")),
    "mac": leaf("macaddr"),
    "firewall": _FIREWALL,
    "poe": FREE,
    "dhcp_options": FREE,
    "dhcpv6_pd": FREE,
    "bridge_group": FREE,
    "redirect": leaf("txt"),
    **_IP,
}
_VIF: Final = tag(("u32", between(0, 4094, "VLAN ID must be between 0 and 4094")), 320, **_ETHERNET_PARTS)
_PPPOE: Final = tag(
    ("u32",),
    381,
    default_route=leaf("txt"),
    description=leaf("txt"),
    firewall=_FIREWALL,
    ipv6=FREE,
    mtu=leaf("u32"),
    name_server=leaf("txt"),
    password=leaf("txt", secret=True),
    user_id=leaf("txt"),
)
_ETHERNET_NAME: Final = matches(r"eth[0-9]+", "ethernet interface name must be eth0-eth999")
_ETHERNET: Final = tag(("txt", _ETHERNET_NAME), 318, vif=_VIF, pppoe=_PPPOE, **_ETHERNET_PARTS)
_SWITCH: Final = tag(("txt", matches(r"switch[0-9]+", "switch interface name must be switch0")), 319, vif=_VIF,
                     switch_port=FREE, **_ETHERNET_PARTS)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- firewall
_SIDE: Final = node(address=leaf("txt"), port=leaf("txt"), group=FREE, mac_address=leaf("txt"))
_STATE: Final = {state: leaf("txt", one_of("enable", "disable")) for state in ("established", "invalid", "new", "related")}
_RULE: Final = tag(
    ("u32", between(1, 9999, "firewall rule number must be between 1 and 9999")),
    action=leaf("txt", one_of("accept", "drop", "reject", "modify", message="action must be accept, drop, modify or reject")),
    description=leaf("txt"),
    destination=_SIDE,
    disable=flag(),
    icmp=FREE,
    icmpv6=FREE,
    ipsec=FREE,
    limit=FREE,
    log=leaf("txt", one_of("enable", "disable")),
    modify=FREE,
    p2p=FREE,
    protocol=leaf("txt"),
    recent=FREE,
    source=_SIDE,
    state=node(**_STATE),
    tcp=FREE,
    time=FREE,
)
_RULE_SET: Final = {
    "default_action": leaf("txt", one_of("accept", "drop", "reject", message="default-action must be accept, drop or reject"),
                           default="drop"),
    "description": leaf("txt"),
    "enable_default_log": flag(),
    "rule": _RULE,
}  # fmt: skip
_SWITCHES: Final = "all-ping broadcast-ping ipv6-receive-redirects ipv6-src-route ip-src-route log-martians receive-redirects send-redirects source-validation syn-cookies"  # noqa: E501 - one word of the vendor beside the other
_CLAMP_TYPES: Final = one_of("pppoe", "pptp", "tun", "vti", "wg", "all")
_CLAMP: Final = node(
    interface_type=leaf("txt", _CLAMP_TYPES, multi=True),
    mss=leaf("u32", between(500, 1460, "MSS must be between 500 and 1460")),
)
_FIREWALL_TREE: Final = Template(
    "node",
    {
        "name": tag(("txt",), 210, **_RULE_SET),
        "ipv6-name": tag(("txt",), 211, **_RULE_SET),
        "modify": FREE,
        "ipv6-modify": FREE,
        "group": Template("node", {"address-group": FREE, "network-group": FREE, "port-group": FREE}, priority=200),
        "options": Template("node", {"mss-clamp": _CLAMP, "mss-clamp6": _CLAMP}, priority=930),
        **{name: leaf("txt") for name in _SWITCHES.split()},
    },
)

# ------------------------------------------------------------------------------------------------- routes, nat, system
_DISTANCE: Final = {"distance": leaf("u32", between(1, 255, "distance must be between 1 and 255")), "disable": flag(),
                    "description": leaf("txt")}  # fmt: skip
_BY_INTERFACE: Final = tag(("ipv4net",), None, next_hop_interface=tag(("txt",), None, **_DISTANCE))
_BY_INTERFACE6: Final = tag(("ipv6net",), None, next_hop_interface=tag(("txt",), None, **_DISTANCE))
_BY_GATEWAY: Final = tag(("ipv4net",), None, next_hop=tag(("ipv4",), None, **_DISTANCE), blackhole=node(**_DISTANCE))
_BY_GATEWAY6: Final = tag(("ipv6net",), None, next_hop=tag(("ipv6",), None, **_DISTANCE), blackhole=node(**_DISTANCE))
_STATIC: Final = {"interface_route": _BY_INTERFACE, "interface_route6": _BY_INTERFACE6, "route": _BY_GATEWAY,
                  "route6": _BY_GATEWAY6}  # fmt: skip

_NAT_RULE: Final = tag(
    ("u32", between(1, 9999, "rule number must be between 1 and 9999")),
    description=leaf("txt"),
    destination=_SIDE,
    disable=flag(),
    exclude=flag(),
    inbound_interface=leaf("txt"),
    inside_address=FREE,
    log=leaf("txt", one_of("enable", "disable")),
    outbound_interface=leaf("txt"),
    outside_address=FREE,
    protocol=leaf("txt"),
    source=_SIDE,
    type_=leaf("txt", one_of("source", "destination", "masquerade")),
)
_TASK: Final = tag(
    ("txt",),
    crontab_spec=leaf("txt"),
    interval=leaf("txt", matches(r"[0-9]+[mhd]?", "invalid interval: must be an integer followed by m, h or d")),
    executable=node(path=leaf("txt"), arguments=leaf("txt")),
)
_USER: Final = tag(
    ("txt",),
    authentication=node(
        encrypted_password=leaf("txt", secret=True),
        plaintext_password=leaf("txt", secret=True),
        public_keys=tag(("txt",), None, key=leaf("txt"), type_=leaf("txt")),
    ),
    full_name=leaf("txt"),
    level=leaf("txt", one_of("admin", "operator")),
)
_SSH: Final = node(port=leaf("u32"), protocol_version=leaf("txt"), disable_password_authentication=flag(),
                   listen_address=leaf("ipv4,ipv6", multi=True))  # fmt: skip
_GUI: Final = node(http_port=leaf("u32"), https_port=leaf("u32"), older_ciphers=leaf("txt"), cert_file=leaf("txt"))
_ZONE: Final = tag(
    ("txt",),
    220,
    default_action=leaf("txt", one_of("drop", "reject"), default="drop"),
    description=leaf("txt"),
    from_=tag(("txt",), None, firewall=node(**_BINDING)),
    interface=leaf("txt", multi=True),
    local_zone=flag(),
)


def schema(board: str, *, wireguard: bool) -> Template:
    """The whole tree of a router: `wireguard` False is one without the package, or after a firmware upgrade."""
    interfaces = {
        "bridge": FREE, "ethernet": _ETHERNET, "loopback": tag(("txt",), 300, address=leaf("ipv4net,ipv6net", multi=True)),
        "openvpn": FREE, "switch": _SWITCH, "tunnel": FREE, "vti": FREE,
    }  # fmt: skip
    if wireguard:
        interfaces["wireguard"] = WIREGUARD
    offload = {"ipsec": leaf("txt", one_of("enable", "disable"))}
    if board in MEDIATEK:
        offload["hwnat"] = leaf("txt", one_of("enable", "disable"))
    else:
        offload["ipv4"] = offload["ipv6"] = FREE
    system = {
        "analytics-handler": FREE, "config-management": Template("node", {"commit-revisions": leaf("u32")}),
        "conntrack": FREE, "crash-handler": FREE, "domain-name": leaf("txt"), "gateway-address": leaf("ipv4"),
        "host-name": leaf("txt"), "login": node(user=_USER, banner=FREE),
        "name-server": leaf("ipv4,ipv6", multi=True), "ntp": FREE,
        "offload": Template("node", offload, priority=940), "package": FREE, "static-host-mapping": FREE, "syslog": FREE,
        "task-scheduler": Template("node", {"task": _TASK}, priority=990), "time-zone": leaf("txt"),
        "traffic-analysis": FREE,
    }  # fmt: skip
    service = {
        "dhcp-server": FREE, "dns": FREE, "gui": _GUI, "lldp": FREE, "mdns": FREE, "ssh": _SSH, "ubnt-discover": FREE,
        "unms": FREE, "upnp2": FREE, "snmp": FREE, "nat": Template("node", {"rule": _NAT_RULE}, priority=500),
    }  # fmt: skip
    return Template(
        "node",
        {
            "firewall": _FIREWALL_TREE,
            "interfaces": Template("node", interfaces),
            "policy": FREE,
            "port-forward": FREE,
            "protocols": node(
                static=node(480, table=tag(("u32",), None, **_STATIC), arp=FREE, **_STATIC),
                bgp=FREE,
                ospf=FREE,
                rip=FREE,
            ),
            "service": Template("node", service),
            "system": Template("node", system),
            "traffic-control": FREE,
            "vpn": FREE,
            "zone-policy": node(zone=_ZONE),
        },
    )
