"""WireGuard set up by hand, as an administrator would: what proves the lab itself before fleet is tried in it."""

from __future__ import annotations

from .measure import ping
from .net import everywhere
from .router import LabRouter
from .topology import ENDPOINT, Branch, Site, Topology

PORT = 51820


def address(site: Site) -> str:
    """The overlay address of a site, by hand: hub .1, branch N .10+N."""
    return f"10.100.0.{10 + site.number}" if isinstance(site, Branch) else "10.100.0.1"


def enable(router: LabRouter) -> None:
    """Bring wg0 up now and at every start, as the router's init has it."""
    if router.init == "systemd":
        router.systemctl("enable", "--now", "wg-quick@wg0")
    else:
        router.write("/etc/rc.local", "#!/bin/sh\nwg-quick up wg0\n", mode=0o755)
        router.run("wg-quick", "up", "wg0")


def make_key(site: Site) -> str:
    """A key pair made on the router; the public half."""
    return site.router.sh("umask 077; wg genkey | tee /etc/wireguard/key | wg pubkey").strip()


def write(site: Site, peers: list[str], *, listen: bool) -> None:
    """wg0.conf with the router's own key."""
    lines = ["[Interface]", f"Address = {address(site)}/24", f"PrivateKey = {site.router.read('/etc/wireguard/key').strip()}"]
    lines += [f"ListenPort = {PORT}"] if listen else []
    lines += ["PostUp = sysctl -q -w net.ipv4.ip_forward=1"]
    site.router.write("/etc/wireguard/wg0.conf", "\n".join([*lines, *peers]) + "\n", mode=0o600)


def join(topology: Topology, keepalives: dict[str, int] | None = None) -> None:
    """Hub and spokes; `keepalives` in seconds by branch, 25 for those not named, 0 for none. Returns when all shook hands."""
    chosen = keepalives or {}
    keys = dict(zip((site.name for site in topology.sites), everywhere(make_key, topology.sites), strict=True))
    hub = topology.hub
    write(hub, [_peer(keys[branch.name], f"{address(branch)}/32, {branch.lan}") for branch in topology.branches], listen=True)
    for branch in topology.branches:
        dialled = f"Endpoint = {ENDPOINT}:{PORT}\nPersistentKeepalive = {chosen.get(branch.name, 25)}"
        write(branch, [_peer(keys[hub.name], "10.100.0.0/24, 192.168.0.0/16") + f"\n{dialled}"], listen=False)
    # The hub first: a first handshake that finds nobody is repeated only after 5 s.
    enable(hub.router)
    everywhere(lambda branch: enable(branch.router), topology.branches)
    everywhere(lambda branch: ping(branch.router, address(hub), count=1), topology.branches)


def _peer(key: str, allowed_ips: str) -> str:
    return f"[Peer]\nPublicKey = {key}\nAllowedIPs = {allowed_ips}"
