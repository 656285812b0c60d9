"""What the replies mean: instances with their linked peers, what the kernel has of them, and what opens the firewall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ... import Interface, Limit, Limits, Live, Mark, Observed, Peer, PublicKey, Secret, Target
from ...model import Configuration, Endpoint
from . import guard, jobs, release, rules
from .options import OpnsenseOptions
from .read import Reading
from .values import Record, chosen, endpoint, interfaces, mark_in, networks, number, text

GROUP_MISSING = "on OPNsense a tunnel is called wg0, wg1, ...: set `interface: wg0` (or another number) for this router"


@dataclass(frozen=True, slots=True)
class Server:
    """An instance: `record` without its private key; `peers` are uuids of the peers linked to it."""

    uuid: str
    device: str
    record: Record
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Native:
    """What render needs of a read. `clients` are records by uuid without preshared keys; `unlinked` those of ours."""

    options: OpnsenseOptions
    mark: Mark
    servers: Mapping[str, Server]
    everything: Mapping[str, Record]
    clients: Mapping[str, Record]
    unlinked: tuple[str, ...]
    up: frozenset[str]
    rules: tuple[rules.SeenRule, ...]
    jobs: tuple[jobs.Job, ...]
    armed: tuple[guard.Armed, ...] = ()
    watchdog: guard.Watchdog | None = None

    def linked(self, client: str) -> list[str]:
        """Uuids of the instances that a peer is linked to."""
        return [uuid for uuid, record in self.everything.items() if client in chosen(record.get("peers"))]

    def client(self, device: str, key: PublicKey) -> str | None:
        """The uuid of the peer with this key on an instance, or of ours that is on none."""
        server = self.servers.get(device)
        candidates = (*(server.peers if server else ()), *self.unlinked)
        return next((uuid for uuid in candidates if text(self.clients[uuid], "pubkey") == key), None)


def observed_from(reading: Reading, target: Target, limits: Limits) -> Observed:
    """The core's view. Raises Unparseable."""
    options = target.options if isinstance(target.options, OpnsenseOptions) else OpnsenseOptions()
    mark = Mark(target.overlay, target.router)
    notes: list[str] = []
    servers = _servers(reading, target, notes)
    seen = rules.seen(reading.rules or (), mark, options)
    timed = jobs.ours(reading.jobs or (), mark)
    unlinked = _unlinked(reading, target)
    home = _home(servers, target)
    stored = {}
    for device, server in servers.items():
        plain = _interface(server, reading, unlinked if device == home else (), notes)
        opened = rules.openings((one for one in seen if one.interface == device), rules.beyond(plain, target.overlay))
        stored[device] = replace(plain, openings=opened, reresolve=jobs.renews(timed, device))
    running = _running(reading, stored, servers, options, mark, notes)
    native = Native(
        options,
        mark,
        servers,
        {uuid: _without(record, "privkey") for uuid, record in reading.servers.items()},
        {uuid: _without(record, "psk", "privkey") for uuid, record in reading.clients.items()},
        unlinked,
        frozenset(str(row.get("if")) for row in reading.shown if row.get("type") == "interface"),
        seen,
        timed,
        guard.armed(reading.jobs or (), mark),
        guard.watchdog(options.watchdog, reading.history, reading.clock) if reading.jobs is not None else None,
    )
    return Observed(
        stored=stored,
        running=running,
        live=_live(reading),
        version=release.named(reading),
        model="OPNsense",
        limits=_limits(limits, reading, target, native),
        guard=guard.seen(native.armed, reading.clock),
        clock=reading.clock,
        rights=_rights(reading),
        leftovers=_leftovers(native, home),
        notes=tuple(notes),
        native=native,
    )


def _without(record: Record, *names: str) -> Record:
    return {name: value for name, value in record.items() if name not in names}


def _servers(reading: Reading, target: Target, notes: list[str]) -> dict[str, Server]:
    """Instances by device. A number that two of them have (accepted, sheet 2.2) goes to ours."""
    found: dict[str, Server] = {}
    for uuid, record in reading.servers.items():
        device = f"wg{text(record, 'instance')}"
        peers = tuple(one for one in chosen(record.get("peers")) if one in reading.clients)
        server = Server(uuid, device, _without(record, "privkey"), peers)
        if device in found:
            notes.append(f"two WireGuard instances have the number of {device}: delete one of them in the web interface")
            mark = mark_in(text(record, "name"))
            if mark is None or mark.overlay != target.overlay:
                continue
        found[device] = server
    return found


def _unlinked(reading: Reading, target: Target) -> tuple[str, ...]:
    """Peers of ours that no instance has: made and not linked yet, or on their way out."""
    linked = {uuid for record in reading.servers.values() for uuid in chosen(record.get("peers"))}
    marks = {uuid: mark_in(text(record, "name")) for uuid, record in reading.clients.items()}
    return tuple(uuid for uuid, mark in marks.items() if mark and mark.overlay == target.overlay and uuid not in linked)


def _home(servers: Mapping[str, Server], target: Target) -> str | None:
    """The instance that unlinked peers are meant for; None if there could be several."""
    own = {device for device, server in servers.items() if _is_ours(server, target)}
    own |= {device for device in target.interfaces if device in servers}
    return own.pop() if len(own) == 1 else None


def _is_ours(server: Server, target: Target) -> bool:
    mark = mark_in(text(server.record, "name"))
    return mark is not None and mark.overlay == target.overlay


def _interface(server: Server, reading: Reading, unlinked: tuple[str, ...], notes: list[str]) -> Interface:
    record = server.record
    peers: dict[PublicKey, Peer] = {}
    for uuid in (*unlinked, *server.peers):
        peer = _peer(reading.clients[uuid], linked=uuid not in unlinked)
        if peer is not None:
            peers[peer.public_key] = peer
        else:
            notes.append(f"{server.device}: peer {text(reading.clients[uuid], 'name')} has no valid key, and nothing new loads")
    return Interface(
        server.device,
        public_key=_key(text(record, "pubkey")) or _shown_key(reading, server.device),
        listen_port=number(text(record, "port")),
        mtu=number(text(record, "mtu")),
        addresses=interfaces(chosen(record.get("tunneladdress"))),
        peers=peers,
        disabled=text(record, "enabled") == "0",
        mark=mark_in(text(record, "name")),
    )


def _peer(record: Record, *, linked: bool) -> Peer | None:
    """One that is linked to no instance has no effect: to the core it is disabled."""
    key = _key(text(record, "pubkey"))
    if key is None:
        return None
    psk = text(record, "psk")
    return Peer(
        key,
        allowed_ips=networks(chosen(record.get("tunneladdress"))),
        endpoint=endpoint(text(record, "serveraddress"), text(record, "serverport")),
        persistent_keepalive=min(number(text(record, "keepalive")) or 0, 65535),  # up to 86400 before 25.7.8 (sheet 2.3)
        preshared_key=Secret(psk) if psk else None,
        mark=mark_in(text(record, "name")),
        disabled=not linked or text(record, "enabled") == "0",
    )


def _key(value: str) -> PublicKey | None:
    try:
        return PublicKey(value)
    except ValueError:
        return None


def _shown_key(reading: Reading, device: str) -> PublicKey | None:
    """The kernel's: the stored public half is optional, and nothing checks it (sheet 6)."""
    rows = (row for row in reading.shown if row.get("type") == "interface" and row.get("if") == device)
    return next((_key(str(row.get("public-key", ""))) for row in rows), None)


# ------------------------------------------------------------------------------------------------------- running
def _running(
    reading: Reading,
    stored: Configuration,
    servers: Mapping[str, Server],
    options: OpnsenseOptions,
    mark: Mark,
    notes: list[str],
) -> dict[str, Interface]:
    """The kernel's view, by `show`. What it does not show (addresses, MTU, preshared keys) is taken from what is stored."""
    found = {}
    for row in reading.shown:
        name = str(row.get("if"))
        if row.get("type") != "interface":
            continue
        base = stored.get(name, Interface(name))
        peers = {}
        for one in _peer_rows(reading, name):
            peer = _runs(one, base, mark)
            if peer is not None:
                peers[peer.public_key] = peer
        up = _key(str(row.get("public-key", "")))
        found[name] = replace(
            base,
            public_key=up,
            listen_port=number(row.get("listen-port")) if base.listen_port else base.listen_port,
            peers=peers,
        )
    for name, server in servers.items():
        if name in found and _is_marked(stored[name], mark) and not _routes_right(server.record, options):
            del found[name]  # the core knows no such setting; that it must be loaded anew it does
            notes.append(f"{name}: 'Disable Routes' is not as `disable_routes` says, so it is set and loaded again")
        elif name in found and _is_marked(stored[name], mark):
            notes += _unloaded(stored[name], found[name])
    return found


def _is_marked(interface: Interface, mark: Mark) -> bool:
    return interface.mark is not None and interface.mark.overlay == mark.overlay


def _routes_right(record: Record, options: OpnsenseOptions) -> bool:
    wanted = "1" if options.disable_routes else "0"
    return bool(text(record, "gateway")) or text(record, "disableroutes") == wanted  # a gateway demands 1 (sheet 2.2)


def _unloaded(stored: Interface, running: Interface) -> Iterable[str]:
    """The usual cause of what is stored and does not run: one name that does not resolve stops all of it (sheet 3.1)."""
    missing = [peer for key, peer in stored.peers.items() if key not in running.peers and not peer.disabled]
    names = sorted({peer.endpoint.host for peer in stored.peers.values() if peer.endpoint and peer.endpoint.ip is None})
    if missing and names:
        yield (
            f"{stored.name}: {len(missing)} stored peers do not run; a name that the firewall cannot resolve keeps every "
            f"change away: look up {', '.join(names)} there, or give an address as endpoint"
        )


def _peer_rows(reading: Reading, device: str) -> Iterable[Mapping[str, Any]]:
    return (row for row in reading.shown if row.get("type") == "peer" and row.get("if") == device)


def _runs(row: Mapping[str, Any], base: Interface, mark: Mark) -> Peer | None:
    key = _key(str(row.get("public-key", "")))
    if key is None:
        return None
    kept = base.peers.get(key)
    allowed = str(row.get("allowed-ips", ""))
    return Peer(
        key,
        allowed_ips=networks(part for part in allowed.split(",") if part and part != "(none)"),
        endpoint=_learned(row),
        persistent_keepalive=number(row.get("persistent-keepalive")) or 0,
        preshared_key=kept.preshared_key if kept else None,
        # What an instance of ours runs and does not store was taken from it, and not loaded yet: no stranger's.
        mark=kept.mark if kept else (mark if _is_marked(base, mark) else None),
    )


def _learned(row: Mapping[str, Any]) -> Endpoint | None:
    try:
        return Endpoint.parse(str(row.get("endpoint", "")))
    except ValueError:
        return None


def _live(reading: Reading) -> dict[str, dict[PublicKey, Live]]:
    now = release.clock(reading)
    found: dict[str, dict[PublicKey, Live]] = {}
    for row in reading.shown:
        key = _key(str(row.get("public-key", "")))
        if row.get("type") != "peer" or key is None:
            continue
        found.setdefault(str(row.get("if")), {})[key] = Live(
            handshake_age=release.age(row, now),
            received=number(row.get("transfer-rx")) or 0,
            sent=number(row.get("transfer-tx")) or 0,
            endpoint=_learned(row),
        )
    return found


# -------------------------------------------------------------------------------------------- limits and the rest
def _limits(limits: Limits, reading: Reading, target: Target, native: Native) -> Limits:
    cannot = limits.cannot
    if any(number(name.removeprefix("wg")) is None or not name.startswith("wg") for name in target.interfaces):
        cannot += (Limit(frozenset({"AddInterface"}), GROUP_MISSING),)
    return replace(
        limits,
        cannot=cannot,
        guard="emulated" if native.watchdog else "none",
        routes="none" if native.options.disable_routes else "derived",
        openings=limits.openings if reading.rules is not None else rules.INHERENT,
        reresolve=not _jobs_denied(reading),
    )


def _jobs_denied(reading: Reading) -> bool:
    return "System: Settings: Cron" in reading.denied


def _rights(reading: Reading) -> tuple[str, ...]:
    return tuple(f"the account lacks the privilege '{name}'" for name in reading.denied)


def _leftovers(native: Native, home: str | None) -> tuple[str, ...]:
    said = []
    if any(one.rule is None for one in native.rules):
        said.append("firewall rules were written and perhaps not applied")
    if surplus_rules(native):
        said.append("firewall rules are there twice, or for a tunnel that is gone")
    if surplus_jobs(native):
        said.append("scheduled jobs are there twice, or for a tunnel that is gone")
    if native.unlinked and home is None and not native.servers:
        said.append("peers of a tunnel that is gone")
    return tuple(said)


def surplus_rules(native: Native) -> list[str]:
    """Uuids of rules that nothing needs: the second of two, one for a tunnel that is gone, the note of an apply."""
    found, known = [], set()
    for one in native.rules:
        if one.rule is None:
            continue
        if (one.interface, one.rule) in known or one.interface not in native.servers:
            found.append(one.uuid)
        known.add((one.interface, one.rule))
    return found


def surplus_jobs(native: Native) -> list[str]:
    """The same for jobs."""
    found, known = [], set()
    for one in native.jobs:
        if one.interface and (one.interface in known or one.interface not in native.servers):
            found.append(one.uuid)
        known.add(one.interface)
    return found
