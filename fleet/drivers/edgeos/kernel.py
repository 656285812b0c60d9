"""What the kernel must be told where it drifted from an active configuration that is right: nothing of a commit would do it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...changes import Change, Reapply, SetPeer
from ...driver import Observed
from ...link import Part
from ...model import Interface, Peer, PublicKey
from . import scripts
from .read import Native
from .tree import Tree


def repairs(wanted: Interface, observed: Observed, native: Native, changes: Sequence[Change]) -> Iterator[Part]:
    """Calls after the commit, for a Reapply only. What a commit changes anyway is the same when it is said again."""
    if not any(isinstance(change, Reapply) for change in changes):
        return
    name = wanted.name
    running, tree = (observed.running or {}).get(name), native.active.at("interfaces", "wireguard", name)
    if running is None:
        return  # made again before the commit, or made by it
    if running.disabled != wanted.disabled:
        yield f"kernel ip link set dev {name} {'down' if wanted.disabled else 'up'}\n"
    if wanted.listen_port is not None and running.listen_port not in (None, wanted.listen_port):
        yield f"kernel wg set {name} listen-port {wanted.listen_port}\n"
    if wanted.mtu is not None and running.mtu != wanted.mtu:
        yield f"kernel ip link set dev {name} mtu {wanted.mtu}\n"
    stored = observed.stored.get(name)
    key_file = tree.value("private-key") or ""
    if stored is not None and stored.public_key != running.public_key and key_file.startswith("/"):
        yield f'kernel wg set {name} private-key "$ROOT"{key_file}\n'
    for address in sorted(map(str, running.addresses - wanted.addresses)):
        yield f"kernel ip addr del {address} dev {name}\n"
    yield from _peers(wanted, running, tree, {one.wanted.public_key for one in changes if isinstance(one, SetPeer)})
    yield from _routes(wanted, running, native)


def _peers(wanted: Interface, running: Interface, tree: Tree, written: set[PublicKey]) -> Iterator[Part]:
    for key, peer in running.peers.items():
        if key not in wanted.peers and key not in map(PublicKey, tree.names("peer")) and (peer.mark is not None):
            yield f"kernel wg set {wanted.name} peer {key} remove\n"
    for key, peer in wanted.peers.items():
        if peer.mark is None or key in written:
            continue
        runs = running.peers.get(key)
        if runs is None or _differs(runs, peer):
            yield peer_call(wanted.name, peer, tree)


def _differs(runs: Peer, peer: Peer) -> bool:
    return (
        runs.allowed_ips != peer.allowed_ips
        or runs.persistent_keepalive != peer.persistent_keepalive
        or (runs.preshared_key is None) != (peer.preshared_key is None)
        or (peer.endpoint is not None and runs.endpoint != peer.endpoint)
    )


def peer_call(interface: str, peer: Peer, tree: Tree) -> str:
    """A peer as the configuration has it, said to the kernel; its preshared key by the file."""
    file = tree.value("peer", peer.public_key, "preshared-key") or ""
    secret = f'"$ROOT"{file}' if file.startswith("/") else ("/dev/null" if peer.preshared_key is None else "")
    allowed = ",".join(sorted(map(str, peer.allowed_ips)))
    words = [
        f"kernel wg set {interface} peer {peer.public_key}",
        *([f"preshared-key {secret}"] if secret else []),
        f"persistent-keepalive {peer.persistent_keepalive}",
        *([f"endpoint {peer.endpoint}"] if peer.endpoint else []),
        f'allowed-ips "{allowed}"',
    ]
    return " ".join(words) + "\n"


def _routes(wanted: Interface, running: Interface, native: Native) -> Iterator[Part]:
    """A route that the daemon lost comes back when its node goes and comes."""
    lines = []
    for prefix in wanted.routes:
        kind = "interface-route" if prefix.version == 4 else "interface-route6"
        path = ("protocols", "static", kind, str(prefix), "next-hop-interface", wanted.name)
        if prefix not in running.routes and native.active.has(*path):
            lines.append("\t".join(path))
    if lines:
        gone = [f"delete\t{line}\n" for line in lines]
        yield from scripts.document("ops", *gone, "commit\n", *(f"set\t{line}\n" for line in lines))


def made_again(interface: str, native: Native) -> Iterator[Part]:
    """Calls before the commit, for a device that is gone though the active configuration has it: all of it goes and comes."""
    base = ("interfaces", "wireguard", interface)
    if interface in native.frames.kernel or not native.active.has(*base) or native.active.has(*base, "disable"):
        return
    leaves = ["\t".join((*base, *path)) for path in sorted(native.active.at(*base).leaves())]
    if any("(inline)" in line for line in leaves):
        return
    yield from scripts.document("ops", "delete\t" + "\t".join(base) + "\n", "commit\n", *(f"set\t{line}\n" for line in leaves))
