"""The wg-quick configuration file of one interface, for `fleet render`. Pure.

Only what every importer accepts (sheet "Manual devices" 1): one key per line and per section, full-line comments, no hooks,
prefix lengths everywhere, endpoints with port, keepalive always written as a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .model import Interface, Peer, PublicKey, Secret, sorted_networks
from .ours import in_order


def render_wg_quick(interface: Interface, names_not_enrolled: Iterable[str], *, preshared: bool) -> str:
    """The file's text with a final newline.

    A peer whose key is unknown stands as `# not enrolled: NAME`. The private key never leaves its router and stands as a
    comment. Preshared keys are written if `preshared` and derived (Secret), else they stand as a comment.
    """
    blocks = [
        "\n".join(_interface(interface)),
        *("\n".join(_peer(peer, preshared=preshared)) for peer in interface.peers.values()),
        *(f"# not enrolled: {name}" for name in names_not_enrolled),
    ]
    return "\n\n".join(blocks) + "\n"


def _interface(interface: Interface) -> Iterator[str]:
    yield "[Interface]"
    if interface.mark is not None:
        yield f"# {interface.mark}"
    if isinstance(interface.public_key, PublicKey):
        yield f"# The private key stays on the router; its public key is {interface.public_key}"
    else:
        yield "# The private key is made on the router"
    yield "# PrivateKey = (insert it here)"
    if interface.addresses:
        yield "Address = " + ", ".join(map(str, in_order(interface.addresses)))
    if interface.listen_port:
        yield f"ListenPort = {interface.listen_port}"
    if interface.mtu:
        yield f"MTU = {interface.mtu}"


def _peer(peer: Peer, *, preshared: bool) -> Iterator[str]:
    yield "[Peer]"
    if peer.mark is not None:
        yield f"# {peer.mark}"
    yield f"PublicKey = {peer.public_key}"
    if preshared and isinstance(peer.preshared_key, Secret):
        yield f"PresharedKey = {peer.preshared_key.reveal()}"
    elif peer.preshared_key is not None:
        yield "# PresharedKey = (derived from the fleet secret, which is not at hand here)"
    if peer.allowed_ips:
        yield "AllowedIPs = " + ", ".join(map(str, sorted_networks(peer.allowed_ips)))
    if peer.endpoint is not None:
        yield f"Endpoint = {peer.endpoint}"
    yield f"PersistentKeepalive = {peer.persistent_keepalive}"
