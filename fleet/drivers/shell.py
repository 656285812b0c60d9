"""What drivers that work on a router's shell share: words of `wg`, `ip` and `ping`, guarded scripts. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final

from ..changes import Change
from ..driver import Ask, Batch, Live, Observed, Probe, ProbeResult, RouterPlan, Script, Step
from ..errors import Rejected, Unparseable
from ..link import Exec, Reply, Request
from ..model import Endpoint, IPInterface, IPNetwork, PublicKey, Secret


# ----------------------------------------------------------------------------------------------------------------- wg
@dataclass(frozen=True, slots=True)
class KernelPeer:
    """A peer line of `wg show all dump`; `hidden`: it has a preshared key that the script kept to itself."""

    public_key: PublicKey
    preshared: Secret | None
    hidden: bool
    endpoint: Endpoint | None
    allowed_ips: frozenset[IPNetwork]
    handshake: int
    received: int
    sent: int
    keepalive: int

    def live(self, clock: int) -> Live:
        """What is no configuration; `clock` is the router's second at the read."""
        age = float(max(0, clock - self.handshake)) if self.handshake else None
        return Live(handshake_age=age, received=self.received, sent=self.sent, endpoint=self.endpoint)


@dataclass(slots=True)
class KernelInterface:
    """An interface line of `wg show all dump` with its peers."""

    public_key: PublicKey | None
    listen_port: int
    peers: dict[PublicKey, KernelPeer] = field(default_factory=dict)

    def live(self, clock: int) -> dict[PublicKey, Live]:
        """Live facts by peer."""
        return {key: peer.live(clock) for key, peer in self.peers.items()}


def read_dump(lines: Iterable[str]) -> dict[str, KernelInterface]:
    """`wg show all dump`: 5 tab-separated fields per interface, 9 per peer. Source: wg(8). Raises ValueError."""
    found: dict[str, KernelInterface] = {}
    for line in lines:
        fields = line.split("\t")
        if len(fields) == 5:
            key = None if fields[2] == "(none)" else PublicKey(fields[2])
            found[fields[0]] = KernelInterface(key, int(fields[3]))
        elif len(fields) == 9:
            peer = _kernel_peer(fields)
            found[fields[0]].peers[peer.public_key] = peer
        else:
            raise ValueError("fields")
    return found


def _kernel_peer(fields: list[str]) -> KernelPeer:
    _, key, preshared, endpoint, allowed, handshake, received, sent, keepalive = fields
    return KernelPeer(
        public_key=PublicKey(key),
        preshared=None if preshared in {"(none)", "(hidden)"} else Secret(preshared),
        hidden=preshared == "(hidden)",
        endpoint=None if endpoint == "(none)" else _endpoint(endpoint),
        allowed_ips=frozenset(ipaddress.ip_network(item) for item in allowed.split(",") if item and item != "(none)"),
        handshake=int(handshake),
        received=int(received),
        sent=int(sent),
        keepalive=0 if keepalive == "off" else int(keepalive),
    )


def _endpoint(text: str) -> Endpoint:
    # A link-local endpoint carries its zone, [fe80::1%eth0]:51820; the zone is this router's own business.
    host, percent, rest = text.partition("%")
    return Endpoint.parse(host + rest[rest.index("]") :] if percent else text)


# ----------------------------------------------------------------------------------------------------------------- ip
def read_links(lines: Iterable[str]) -> tuple[dict[str, int], set[str]]:
    """MTU by device, and which are up: `ip -o link show`, `5: wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 ...`."""
    mtus: dict[str, int] = {}
    up: set[str] = set()
    for line in lines:
        words = line.split()
        name = words[1].rstrip(":").partition("@")[0]
        mtus[name] = int(words[words.index("mtu") + 1])
        if "UP" in words[2].strip("<>").split(","):
            up.add(name)
    return mtus, up


def read_addresses(lines: Iterable[str]) -> dict[str, list[IPInterface]]:
    """Addresses by device: `ip -o addr show`, `5: wg0    inet 10.100.0.1/20 ...`; link-local ones are the kernel's."""
    found: dict[str, list[IPInterface]] = {}
    for line in lines:
        words = line.split()
        if words[2] not in {"inet", "inet6"}:
            continue
        # `inet 10.0.0.1 peer 10.0.0.2/32` is a point-to-point address: its length stands behind the peer.
        local = words[3] if "/" in words[3] or words[4] != "peer" else f"{words[3]}/{words[5].partition('/')[2]}"
        address = ipaddress.ip_interface(local)
        if not address.is_link_local:
            found.setdefault(words[1], []).append(address)
    return found


def read_prefixes(lines: Iterable[str]) -> set[IPNetwork]:
    """Targets of `ip route show dev X`, both families; `default` is taken for both."""
    found: set[IPNetwork] = set()
    for line in lines:
        target = line.split()[0]
        if target == "default":
            found |= {ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")}
        elif target not in {"unreachable", "multicast", "broadcast", "local", "anycast", "blackhole"}:
            found.add(ipaddress.ip_network(target))
    return found


def connected(addresses: Mapping[str, Iterable[IPInterface]], tunnels: Container[str]) -> tuple[IPNetwork, ...]:
    """Prefixes directly connected outside WireGuard interfaces, in order."""
    networks = {
        address.network
        for name, held in addresses.items()
        if name not in tunnels and name != "lo"
        for address in held
        if address.network.num_addresses > 1
    }
    return tuple(sorted(networks, key=lambda network: (network.version, network.network_address.packed, network.prefixlen)))


# --------------------------------------------------------------------------------------------------------------- ping
_COUNTS: Final = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")
_TIMES: Final = re.compile(r"min/avg/max\S* = [\d.]+/([\d.]+)/")


def ping(probe: Probe, *words: str) -> Ask[ProbeResult]:
    """`ping` of iputils or busybox, with more `words` behind its name; it ends with 1 when nothing came back."""
    source = ["-I", str(probe.source)] if probe.source else []
    size = ["-c", str(probe.count), "-W", "1", "-s", str(probe.size)]
    command = " ".join(["ping", *words, *size, *source, str(probe.target)])
    request = Exec(command=command, accept=frozenset({0, 1}), reads=True, timeout=10.0 + 2 * probe.count)
    return Ask((request,), _pinged)


def _pinged(replies: tuple[Reply, ...]) -> ProbeResult:
    text = replies[0].text
    counts = _COUNTS.search(text)
    if counts is None:
        raise Unparseable("ping says something unknown", text[-80:] or replies[0].error[-80:])
    times = _TIMES.search(text)
    return ProbeResult(int(counts[1]), int(counts[2]), float(times[1]) if times else None)


# ------------------------------------------------------------------------------------------------------------ scripts
@cache
def joined(package: str, *names: str) -> str:
    """Shell files `NAME.sh` of a driver, else of this package, without comments and indentation: a third shorter to send."""
    return "".join(_stripped(package, name) for name in names)


def _stripped(package: str, name: str) -> str:
    file = files(package).joinpath(f"{name}.sh")
    text = (file if file.is_file() else files(__package__).joinpath(f"{name}.sh")).read_text(encoding="utf-8")
    lines = (line.strip(" ") for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if (line and not line.startswith("#")) or line.startswith("#!"))


GUARD_SAYS: Final[Mapping[int, tuple[str, str]]] = {
    20: (
        "the guard of this plan fired or was replaced, nothing was saved",
        "the previous configuration runs: look at the difference with `fleet plan`, then sync again",
    ),
    21: (
        "the guard of another run is armed, nothing was changed",
        "it undoes that change by itself: sync again when it is gone",
    ),
    22: ("the change was confirmed before, nothing was undone", "look at the difference with `fleet plan`"),
    23: ("the guard could not be armed, nothing was changed", "correct the reason given, then sync again"),
    24: ("another sync is writing to this router, nothing was changed", "sync again when it has ended"),
}
"""Exit codes that every script with a guard ends with: what was seen, and the next action."""

_KEY: Final = re.compile(r"[A-Za-z0-9+/]{30,}=*")


def refusal(reply: Reply, says: Mapping[int, tuple[str, str]]) -> Rejected | None:
    """The error behind a reply of a script of ours, in the words of `says` by exit code; None for success."""
    if reply.code == 0:
        return None
    evidence = last_said(reply.error)
    said = f" ({evidence})" if evidence else ""
    summary, hint = says.get(reply.code, (f"fleet's script ended with code {reply.code}", "look at the reason given"))
    return Rejected(summary + said, hint, evidence=evidence)


def last_said(error: str) -> str:
    """The last line of standard error, without our own prefix, without anything that could be a key."""
    lines = [line for line in error.split("\n") if line.strip()]
    ours = [line.removeprefix("fleet: ") for line in lines if line.startswith("fleet: ")]
    text = (ours or lines or [""])[-1].strip()
    return _KEY.sub("***", "".join(character for character in text if character.isprintable()))[:200]


def done(request: Exec, reply: Reply) -> None:
    """Raise Rejected if a script that writes did not reach its end."""
    if not request.reads and not reply.text.rstrip().endswith("@done"):
        raise Rejected("fleet's script did not reach its end", "sync again: what landed is read first")


def summary(changes: tuple[Change, ...]) -> str:
    """The first three changes in one line."""
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return "; ".join(map(str, changes[:3])) + more


def plan_word(plan_id: str) -> str:
    """A plan's name as a word of the shell. Raises ValueError: the core makes these names, nobody types them."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}", plan_id):
        raise ValueError(f"not a plan's name: {plan_id[:80]!r}")
    return plan_id


def guarded(
    batches: tuple[Batch, ...],
    cleanup: tuple[Batch, ...],
    plan: RouterPlan,
    observed: Observed,
    *,
    arm: Callable[[str, int], Request],
    confirm: Callable[[str], Request],
    trip: Callable[[str], Request],
) -> Script:
    """The whole script: arming before the first changes, and what ends the guard, by the plan's name.

    The undo that is tripped is the one that was seen: a left-over one carries the name of its own plan.
    """
    seconds, name = plan.confirm_within, plan_word(plan.plan_id)
    seen = plan_word(observed.guard.plan_id) if observed.guard is not None else name
    tripping = (trip(seen),) if seconds or observed.guard is not None else ()
    if not seconds:
        return Script(guarded=batches, cleanup=cleanup, trip=tripping)
    if plan.arm and batches:
        arming = Step(f"arm the undo: it fires in {seconds} s unless confirmed", (arm(name, seconds),))
        batches = ((arming,), *batches)
    return Script(guarded=batches, confirm=(confirm(name),), cleanup=cleanup, trip=tripping)
