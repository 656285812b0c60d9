"""The network of the lab.

```
host ── lan ┐                                                    ┌ lan ── host
           hub ── wan ── (internet) ── carrier ── nat ── wan ── branch-1
           noc ── wan ──┘  names        100.64/10  10.77/16       └ bench ── noc
```
Hubs have public addresses; each branch sits behind its own router's NAT behind its carrier's NAT. The carrier forgets a UDP
mapping after 30 s. The bench is a second way from the NOC to a branch that is still in the workshop, until it is shipped.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .net import Cable, Lab, Node, Plug, everywhere
from .router import Client, Disk, Init, LabRouter

Firewall = Literal["", "nftables", "iptables"]
NAMESERVER = "192.0.2.53"
ENDPOINT = "vpn.example.com"
MAPPING_SECONDS = 30

HARDENED = """#!/usr/sbin/nft -f
flush ruleset
table inet corporate {
	chain incoming {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		iifname { "wan", "bench" } tcp dport 22 accept comment "bastion, ticket 4711"
		icmp type echo-request accept
	}
	chain passing {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname "lan" oifname "wan" accept
	}
}
"""
"""Somebody else's firewall, as one finds it in the field: everything dropped that is not named."""

HARDENED_IPTABLES = """#!/bin/sh
iptables-restore <<'END'
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i wan -p tcp -m tcp --dport 22 -m comment --comment "bastion, ticket 4711" -j ACCEPT
-A INPUT -i bench -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i lan -o wan -j ACCEPT
COMMIT
END
"""
"""The same by iptables, loaded from where it is saved when the router starts."""

NFT_UNIT = """[Unit]
Description=nftables

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/nftables.conf
ExecReload=/usr/sbin/nft -f /etc/nftables.conf
ExecStop=/usr/sbin/nft flush ruleset

[Install]
WantedBy=sysinit.target
"""

IPTABLES_UNIT = """[Unit]
Description=saved iptables rules

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/etc/iptables/load

[Install]
WantedBy=sysinit.target
"""


@dataclass(frozen=True)
class Site:
    """A router with the LAN behind it: `gateway` is the router's own LAN address, `host_address` that of the host."""

    name: str
    router: LabRouter
    host: Node
    lan: str

    @property
    def gateway(self) -> str:
        """The router's address in its LAN."""
        return self.lan.replace(".0/24", ".1")

    @property
    def host_address(self) -> str:
        """The host's address in the LAN."""
        return self.lan.replace(".0/24", ".10")


@dataclass(frozen=True)
class Hub(Site):
    """A site with a public address."""

    address: str


class Carrier(Node):
    """A carrier's NAT: one public address for the customer behind it, which it may change at any time."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(name)
        self.address = address

    def masquerade(self, *, mapping_seconds: int | None = None) -> None:
        """Forward and translate; UDP mappings are forgotten after so many idle seconds, by default the kernel's own."""
        timeouts = [
            f"echo {mapping_seconds} >/proc/sys/net/netfilter/{name}"
            for name in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream")
            if mapping_seconds
        ]
        rules = "table ip nat { chain out { type nat hook postrouting priority srcnat; oifname wan masquerade; }; }"
        self.sh("\n".join(["echo 1 >/proc/sys/net/ipv4/ip_forward", *timeouts, f"nft '{rules}'"]))

    def readdress(self, address: str) -> None:
        """Redial: the customer comes back from another public address, and nothing to the old one arrives.

        The mappings are flushed because masqueraded UDP flows outlive the address that they used (measured).
        """
        gateway = address.rpartition(".")[0] + ".1"
        self.sh(
            f"ip link set wan down; ip address flush dev wan; ip address add {address}/24 dev wan\n"
            f"ip link set wan up; ip route replace default via {gateway} dev wan; conntrack -F 2>/dev/null || :"
        )
        self.address = address


@dataclass(frozen=True)
class Branch(Site):
    """A site behind two NATs. `bench_address` is where the NOC reaches it before it is shipped."""

    number: int
    carrier: Carrier
    nat: Carrier
    bench_address: str
    bench: Cable


@dataclass
class Topology:
    """Everything that `build` made. `client` is the SSH key that all routers accept for root."""

    lab: Lab
    internet: Node
    noc: Node
    hubs: list[Hub]
    branches: list[Branch]
    client: Client
    zone: Path
    names: dict[str, str] = field(default_factory=dict)

    @property
    def hub(self) -> Hub:
        """The only hub, or the first."""
        return self.hubs[0]

    @property
    def sites(self) -> list[Site]:
        """Hubs and branches."""
        return [*self.hubs, *self.branches]

    @property
    def routers(self) -> list[LabRouter]:
        """Every managed router."""
        return [site.router for site in self.sites]

    def name(self, name: str, address: str) -> None:
        """Let a DNS name mean an address from now on."""
        self.names[name] = address
        self.zone.write_text("".join(f"{key} {value}\n" for key, value in self.names.items()))

    def move_hub(self, address: str, *, endpoint: str = ENDPOINT) -> None:
        """The hub gets another public address and its name follows; the old address answers nobody."""
        gateway = address.rpartition(".")[0] + ".1"
        self.hub.router.sh(
            f"ip address flush dev wan; ip address add {address}/24 dev wan; ip route replace default via {gateway} dev wan"
        )
        self.name(endpoint, address)

    def ship(self, *branches: Branch) -> None:
        """Take branches (default all) off the bench: from now on the tunnel is the only way in."""
        self.lab.unplug(*(branch.bench for branch in branches or self.branches if branch.bench in self.lab.cables))

    def stage(self, *branches: Branch) -> None:
        """Put branches on the bench."""
        self.lab.plug(*(branch.bench for branch in branches if branch.bench not in self.lab.cables))

    def close(self) -> None:
        """End everything."""
        self.lab.close()

    def __enter__(self) -> Topology:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _internet(lab: Lab, folder: Path) -> tuple[Node, Path]:
    internet = Node("internet")
    lab.add(internet)
    internet.sh(
        "ip link add name internet type bridge; ip link set internet up\n"
        "for a in 198.51.100.1/24 203.0.113.1/24 192.0.2.1/24; do ip address add $a dev internet; done\n"
        f"ip address add {NAMESERVER}/32 dev internet\n"
        "echo 1 >/proc/sys/net/ipv4/ip_forward\n"
        "for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 >$f; done\n"
    )
    zone = folder / "zone"
    zone.touch()
    return internet, zone


class Resolver(Node):
    """The name server, a process in the internet's namespace that ends with it."""

    def __init__(self, internet: Node, zone: Path) -> None:
        super().__init__("names")
        self._internet = internet
        self._zone = zone

    def start(self) -> None:
        """Serve. Returns when it answers."""
        script = Path(__file__).parent / "names.py"
        holder = self.hold(*self._internet.inside(sys.executable, "-I", "-S", str(script), NAMESERVER, str(self._zone)))
        self.expect(holder, "ready")


def _firewall(kind: Firewall, init: Init) -> dict[str, str]:
    """Files of somebody else's firewall: `nftables`, `iptables` or none."""
    load = {"nftables": "nft -f /etc/nftables.conf", "iptables": "/etc/iptables/load", "": ""}[kind]
    rules = {"nftables": {"/etc/nftables.conf": HARDENED}, "iptables": {"/etc/iptables/load": HARDENED_IPTABLES}, "": {}}[kind]
    if not kind:
        return {}
    if init == "rc.local":
        return rules | {"/etc/rc.local": f"#!/bin/sh -e\n{load}\nexit 0\n"}
    unit = {"nftables": NFT_UNIT, "iptables": IPTABLES_UNIT}[kind]
    return rules | {f"/etc/systemd/system/{kind}.service": unit}


def build(
    folder: Path,
    *,
    branches: int = 3,
    hubs: int = 1,
    hub_firewall: Firewall = "",
    branch_firewall: Firewall = "",
    hub_init: Init = "systemd",
    inits: Sequence[Init] = ("systemd", "rc.local"),
    files: Mapping[str, str] | None = None,
) -> Topology:
    """Make the network with blank routers that run, their LANs, and nothing between them.

    `folder` takes the SSH key and the zone. Firewalls are somebody else's and drop what they do not name. Branches take
    their init from `inits` in turn. `files` are put on every router before its first start.
    """
    client = Client.make(folder)
    hub_disk = Disk(hub_init, NAMESERVER, client.public, _firewall(hub_firewall, hub_init) | dict(files or {}))
    branch_disks = [
        Disk(init, NAMESERVER, client.public, _firewall(branch_firewall, init) | dict(files or {}))
        for init in (inits[number % len(inits)] for number in range(branches))
    ]
    lab = Lab()
    try:
        topology = _build(lab, folder, client, [hub_disk] * hubs, branch_disks)
        for firewall, sites in ((hub_firewall, topology.hubs), (branch_firewall, topology.branches)):
            units = [site.router for site in sites if firewall and site.router.init == "systemd"]
            everywhere(lambda router: router.systemctl("enable", "--now", firewall), units)  # noqa: B023 - used at once
    except BaseException:
        lab.close()
        raise
    return topology


def _build(lab: Lab, folder: Path, client: Client, hub_disks: list[Disk], branch_disks: list[Disk]) -> Topology:
    internet, zone = _internet(lab, folder)
    noc = Node("noc")
    hubs = [_hub(lab, number, disk) for number, disk in enumerate(hub_disks, 1)]
    branches = [_branch(lab, noc, number, disk) for number, disk in enumerate(branch_disks, 1)]
    sites: list[Site] = [*hubs, *branches]
    lab.add(Resolver(internet, zone), noc, *(node for site in sites for node in (site.router, site.host)))
    lab.add(*(node for branch in branches for node in (branch.carrier, branch.nat)))
    noc.sh("ip link add name bench type bridge; ip address add 172.31.0.1/24 dev bench; ip link set bench up")
    lab.plug(*_cables(internet, noc, hubs, branches))
    everywhere(lambda branch: branch.carrier.masquerade(mapping_seconds=MAPPING_SECONDS), branches)
    everywhere(lambda branch: branch.nat.masquerade(), branches)
    topology = Topology(lab, internet, noc, hubs, branches, client, zone)
    topology.name(ENDPOINT, hubs[0].address)
    everywhere(lambda site: site.router.boot(), sites)
    return topology


def _hub(lab: Lab, number: int, disk: Disk) -> Hub:
    name = "hq" if number == 1 else f"hq{number}"
    return Hub(name, LabRouter(name, lab, disk), Node(f"{name}-host"), f"192.168.{number}.0/24", f"198.51.100.{number}0")


def _branch(lab: Lab, noc: Node, number: int, disk: Disk) -> Branch:
    name = f"branch-{number}"
    router = LabRouter(name, lab, disk)
    address = f"172.31.0.{10 + number}"
    bench = Cable(Plug(router, "bench", (f"{address}/24",)), Plug(noc, name, bridge="bench"))
    return Branch(
        name=name,
        router=router,
        host=Node(f"{name}-host"),
        lan=f"192.168.{10 + number}.0/24",
        number=number,
        carrier=Carrier(f"{name}-carrier", f"203.0.113.{number}0" if number < 10 else f"203.0.113.{90 + number}"),
        nat=Carrier(f"{name}-nat", f"100.64.{number}.2"),
        bench_address=address,
        bench=bench,
    )


def _cables(internet: Node, noc: Node, hubs: list[Hub], branches: list[Branch]) -> list[Cable]:
    cables = [Cable(Plug(noc, "wan", ("192.0.2.10/24",), "192.0.2.1"), Plug(internet, "noc", bridge="internet"))]
    for hub in hubs:
        wan = Plug(hub.router, "wan", (f"{hub.address}/24",), "198.51.100.1")
        cables.append(Cable(wan, Plug(internet, hub.name, bridge="internet")))
    for branch in branches:
        inside = f"10.77.{branch.number}"
        shared = f"100.64.{branch.number}"
        public = Plug(branch.carrier, "wan", (f"{branch.carrier.address}/24",), "203.0.113.1")
        cables += [
            Cable(public, Plug(internet, branch.name, bridge="internet")),
            Cable(
                Plug(branch.nat, "wan", (f"{shared}.2/24",), f"{shared}.1"), Plug(branch.carrier, "inside", (f"{shared}.1/24",))
            ),
            Cable(
                Plug(branch.router, "wan", (f"{inside}.2/24",), f"{inside}.1"), Plug(branch.nat, "inside", (f"{inside}.1/24",))
            ),
            branch.bench,
        ]
    sites: list[Site] = [*hubs, *branches]
    for site in sites:
        host = Plug(site.host, "eth0", (f"{site.host_address}/24",), site.gateway)
        cables.append(Cable(Plug(site.router, "lan", (f"{site.gateway}/24",)), host))
    return cables
