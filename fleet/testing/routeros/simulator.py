"""A simulated MikroTik router: RouterOS state behind its real API protocol on a loopback socket, and a node of the ether.

Written from the reference sheet alone, strict where the sheet says that a router is strict; it shares no code with fleet's
driver or transport.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from asyncio import AbstractServer
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

from ..ether import Clock, Ether, Handshake, Packet, SimInterface
from . import firewall
from .addresses import Addresses, Hardware, InterfaceLists, ListMembers, Routes
from .certificates import Certificate, self_signed
from .commands import Account, Answer, Command
from .connection import Connection
from .device import Behaviour, Device
from .factory import furnish
from .farm import FARM, RouterosFarm, listen
from .faults import Counters, Fault, Kind, Latency, When
from .paths import connected_rows, interface_rows, local_prefixes, own_addresses, route_to
from .system import SILENT_LOSS, Clocked, Firing, Resource, SafeMode, Scheduler
from .users import POLICIES, Groups, Users, login
from .values import Refused
from .wireguard import Peers, WireguardInterfaces, on_ether

Tls: TypeAlias = "bool | Certificate | tuple[str | Path, str | Path] | None"
Run: TypeAlias = "Callable[[RouterosSimulator, Account, Command], Answer]"

ALL_RIGHTS: Final = frozenset(POLICIES)


class RouterosSimulator:
    """One router.

    `users`: name -> (password, built-in group or comma list of policies); default admin without password, group full.
    `seed`: None answers in order; a number also shuffles execution and replies of tagged commands, leaves out categories now
    and then and adds ` (4)`. `tls`: serve api-ssl instead of api, with a certificate made now (True), given, or from files.
    `lan` and `wan` are addresses with prefix length; the uplink's is dynamic, as from DHCP.
    """

    wan = "ether1"

    def __init__(
        self,
        name: str,
        version: str = "7.16.2",
        *,
        users: Mapping[str, tuple[str, str]] | None = None,
        ether: Ether | None = None,
        clock: Clock | None = None,
        public_hosts: Iterable[str] = (),
        seed: int | None = None,
        tls: Tls = None,
        board: str = "hAP ax^3",
        firewall: firewall.Preset = "defconf",
        lan: str | None = "192.168.88.1/24",
        wan: str | None = "100.64.0.2/24",
        device_mode: Literal["advanced", "home", "enterprise", "rose"] = "advanced",
        farm: RouterosFarm | None = None,
    ) -> None:
        self.name = name
        self.public_hosts = frozenset(public_hosts)
        self.port_forwards: dict[int, int] = {}
        self.ether = ether
        self.clock = clock or (ether.clock if ether is not None else Clock())
        self.lock = threading.RLock()
        self._scheduler = Scheduler(self)
        self.device = Device(name, version, self.clock, self._behaviours(), seed)
        self.shuffle = None if seed is None else random.Random(seed)
        self.pieces: random.Random | None = None
        self.latency = Latency()
        self.counters = Counters()
        self.log: list[Command] = []
        self.fired: list[Firing] = []
        self.on_event: Callable[[RouterosSimulator, Firing], None] | None = None
        self.masks_by_default = self.device.version >= (7, 21)
        self.sensitive_to_write = False
        self.safe_mode = SafeMode(self.device)
        self.safe_mode_delay = 0.0
        self.acting: tuple[str, frozenset[str]] = ("admin", ALL_RIGHTS)
        self.seen_as: str | None = None
        self.handshakes: dict[tuple[str, str], Handshake] = {}
        self.connections: set[Connection] = set()
        self.booted_at = self.clock.now()
        self.certificate, self._context = _identity(name, tls)
        self._faults: list[Fault] = []
        self._farm = farm or FARM
        self._server: AbstractServer | None = None
        self._started = False
        self._wall = time.time() - self.clock.now()
        self.host, self.port = "127.0.0.1", 0
        furnish(self.device, users or {"admin": ("", "full")}, board, lan, wan, device_mode, firewall)

    def _behaviours(self) -> Mapping[str, Behaviour]:
        families = ("ip", "ipv6")
        return {
            "/interface/ethernet": Hardware(),
            "/interface/bridge": Hardware(),
            "/interface/wireguard": WireguardInterfaces(self),
            "/interface/wireguard/peers": Peers(self),
            "/interface/list": InterfaceLists(),
            "/interface/list/member": ListMembers(),
            **{f"/{family}/address": Addresses(self, f"/{family}/address") for family in families},
            **{f"/{family}/route": Routes(f"/{family}/route") for family in families},
            **{f"/{f}/firewall/{kind}": firewall.Rules(self, kind) for f in families for kind in ("filter", "nat", "mangle")},
            **{f"/{f}/firewall/address-list": firewall.AddressLists(f"/{f}/firewall/address-list") for f in families},
            "/system/clock": Clocked(self),
            "/system/resource": Resource(self),
            "/system/scheduler": self._scheduler,
            "/user": Users(),
            "/user/group": Groups(),
        }

    # --- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> tuple[str, int]:
        """Listen, join the ether, return host and port."""
        if not self._started:
            self._started = True
            self._farm.enter(self.tick)
            self.clock.follow(self.tick)
            self._open()
        return self.host, self.port

    def stop(self) -> None:
        """Leave everything; may be called twice."""
        if self._started:
            self._started = False
            self._close()
            self.clock.unfollow(self.tick)
            self._farm.leave(self.tick)

    def __enter__(self) -> RouterosSimulator:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _open(self) -> None:
        self._server = self._farm.call(listen(lambda: Connection(self), self.host, self.port, self._context))
        self.port = self._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio.Server, always
        if self.ether is not None:
            self.ether.attach(self)

    def _close(self) -> None:
        server, self._server = self._server, None

        async def close() -> None:
            if server is not None:
                server.close()
            for connection in list(self.connections):
                connection.reset()

        self._farm.call(close())
        if self.ether is not None:
            self.ether.detach(self)

    def set_offline(self, offline: bool = True) -> None:
        """No power or no uplink: nothing listens, the ether does not carry it. False: back on the same port."""
        if offline and self._server is not None:
            self._close()
        elif not offline and self._started and self._server is None:
            self._open()

    def reboot(self) -> None:
        """Every connection ends, ids are new, counts and sessions start again; configuration stays."""
        for connection in list(self.connections):
            self._farm.loop.call_soon_threadsafe(connection.reset)
        with self.lock:
            self.safe_mode = SafeMode(self.device)
            for row in list(self.device.table("/user/active").rows):
                self.device.table("/user/active").delete(row)
            for table in self.device.tables().values():
                table.renumber()
            self.booted_at = self.clock.now()
            self._scheduler.restart(self.device)
        if self.ether is not None and self._server is not None:
            self.ether.detach(self)
            self.ether.attach(self)

    def reboot_soon(self) -> None:
        """`/system/reboot`: after the command was taken."""
        self._farm.loop.call_soon(self.reboot)

    def cut(self) -> None:
        """Every connection goes silent at once; the router notices after minutes (sheet 5.1)."""
        for connection in list(self.connections):
            connection.stall()
            self.safe_mode.closed(connection, SILENT_LOSS)

    # --- for tests -----------------------------------------------------------------------------------------------------

    def fault(self, when: When, kind: Kind, *, message: str = "failure: simulated", times: int = 1) -> None:
        """Plan a failure: at the nth command from now, at a sentence, or where a test of the command says so."""
        self._faults.append(Fault(when, kind, message, times))

    def rows(self, menu: str) -> list[dict[str, str]]:
        """A menu's rows in order, as print shows them with nothing masked."""
        with self.lock:
            table = self.device.table(menu)
            return [self.device.shown(menu, table, row) for row in table.rows]

    def insert(self, menu: str, *, before: str | None = None, dynamic: bool = False, **fields: object) -> str:
        """Add a row as an administrator would (`dst_port=...` is `dst-port`); returns its id. Raises Refused."""
        given = {name.rstrip("_").replace("_", "-"): _written(value) for name, value in fields.items() if value is not None}
        with self.lock:
            forced = {"dynamic": "true"} if dynamic else {}
            return self.device.add(menu, given, before=before, **forced).id

    def change(self, menu: str, reference: str, **fields: object) -> None:
        """Set fields of the row of that id or name. Raises Refused."""
        with self.lock:
            table = self.device.table(menu)
            rows = table.rows if table.menu.single else [table.find(reference)]
            self.device.set(menu, rows, {name.replace("_", "-"): _written(value) for name, value in fields.items()})

    def delete(self, menu: str, reference: str) -> None:
        """Remove the row of that id or name. Raises Refused."""
        with self.lock:
            self.device.remove(menu, [self.device.table(menu).find(reference)])

    def snapshot(self) -> dict[str, Any]:
        """All configuration as plain data, in order, without ids and live facts: equal means untouched."""
        with self.lock:
            return self.device.snapshot()

    # --- for connections -----------------------------------------------------------------------------------------------

    def serves(self) -> bool:
        """False where the service is disabled or has all its sessions."""
        service = self.device.table("/ip/service").named("api" if self._context is None else "api-ssl")
        return service is not None and not service.disabled and len(self.connections) <= int(service.get("max-sessions", "20"))

    def log_in(self, words: Mapping[str, str], source: str, connection: Connection) -> Account | None:
        """The account of this login, None if refused."""
        user, password = words.get("name", ""), words.get("password", "")
        with self.lock:
            policies = login(self.device, user, password, source)
            if policies is None:
                return None
            self.counters.logins += 1
            group = self.device.table("/user").named(user)
            account = Account(user, policies, source, group.get("group") if group is not None else "", connection)
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.wall_time()))
            row = {"when": when, "name": user, "address": source, "via": "api", "group": account.group}
            account.session = self.device.table("/user/active").insert(row).number
            return account

    def log_out(self, reference: str) -> None:
        """End the connection of a `/user/active` row. Raises Refused."""
        number = self.device.table("/user/active").find(reference).number
        for connection in list(self.connections):
            if connection.session == number:
                self._farm.loop.call_soon_threadsafe(connection.reset)

    def hung_up(self, connection: Connection, account: Account | None) -> None:
        """A connection ended."""
        with self.lock:
            table = self.device.table("/user/active")
            for row in list(table.rows):
                if account is not None and row.number == account.session:
                    table.delete(row)
            self.safe_mode.closed(connection, self.safe_mode_delay)
            self.tick()

    def heard(self, command: Command) -> None:
        """Count and log a sentence."""
        self.counters.commands += 1
        self.log.append(command)

    def strike(self, command: Command) -> Fault | None:
        """The planned failure that hits this command."""
        struck = [fault for fault in self._faults if fault.strikes(command)]
        self._faults = [fault for fault in self._faults if fault.times > 0]
        return struck[0] if struck else None

    def run(self, account: Account, command: Command, execute: Run) -> Answer:
        """One command at a time on this router."""
        with self.lock:
            self.tick()
            self.acting = (account.user, account.policies)
            try:
                return execute(self, account, command)
            finally:
                self.acting = ("admin", ALL_RIGHTS)

    def trap_words(self, refused: Refused) -> list[str]:
        """`!trap` as this router words it (sheet 1.6: the category is optional, a number may follow)."""
        message, category = refused.message, refused.category
        if self.shuffle is not None:
            category = category if self.shuffle.random() < 0.7 else None
            if message == "no such item" and self.shuffle.random() < 0.5:
                message += " (4)"
        return ["!trap", *([] if category is None else [f"=category={category}"]), f"=message={message}"]

    def push(self, connection: object, tag: str | None, words: Sequence[str]) -> None:
        """A row of `listen`, from whatever thread changed it."""
        if isinstance(connection, Connection):
            self._farm.loop.call_soon_threadsafe(connection.push, tag, list(words))

    # --- for menus -----------------------------------------------------------------------------------------------------

    def acted(self) -> None:
        """A command changed configuration."""
        self.counters.writes += 1
        self.safe_mode.acted()

    def changed(self) -> None:
        """Something the ether looks at differs."""
        if self.ether is not None:
            self.ether.touch(self)

    def forget(self, interface: str, peer_key: str) -> None:
        """A peer's session is gone."""
        self.handshakes.pop((interface, peer_key), None)
        if self.ether is not None:
            self.ether.forget(self, interface, peer_key)

    def handshake(self, interface: str, peer_key: str) -> Handshake | None:
        """What the ether knows, or what a test put into `handshakes`."""
        known = self.handshakes.get((interface, peer_key))
        if known is not None or self.ether is None:
            return known
        return self.ether.handshake(self, interface, peer_key)

    def reaches(self, source: str | None, target: str) -> bool:
        """`/ping`."""
        if target in own_addresses(self.device):
            return True
        return self.ether is not None and self.ether.ping(self, source, target)

    def extra_rows(self, menu: str) -> list[dict[str, str]]:
        """Rows that no table stores: all interfaces in one list, connected routes."""
        if menu == "/interface":
            return interface_rows(self.device)
        return connected_rows(self.device, 4 if menu == "/ip/route" else 6) if menu in ("/ip/route", "/ipv6/route") else []

    def wall_time(self) -> float:
        """Unix time by this router's clock."""
        return self._wall + self.clock.now()

    def tick(self) -> None:
        """Run what is due: scheduler entries, the undo of safe mode."""
        with self.lock:
            if self.safe_mode.undo_at is not None and self.safe_mode.undo_at <= self.clock.now():
                self.safe_mode.undo()
                self.changed()
            for firing in self._scheduler.due(self.device):
                self.fired.append(firing)
                self._log(f"{firing.name} run")
                if not {"read", "write"} <= set(firing.policy.split(",")):
                    self._log("not enough permissions (9)")  # scripts only log what they may not do (sheet 5.3)
                elif self.on_event is not None:
                    self.on_event(self, firing)

    def _log(self, message: str) -> None:
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.wall_time()))
        self.device.table("/log").insert({"time": now, "topics": "script,info", "message": message})

    # --- the ether's node ----------------------------------------------------------------------------------------------

    @property
    def lans(self) -> tuple[str, ...]:
        """Prefixes connected to neither uplink nor tunnels."""
        return local_prefixes(self.device, self.wan)

    def wireguard(self) -> Sequence[SimInterface]:
        """Interfaces as they are now."""
        return on_ether(self.device)

    def routes(self, target: str) -> str | None:
        """By its routing table; allowed addresses make no routes (sheet 3.2)."""
        return route_to(self.device, target)

    def owns(self, address: str) -> bool:
        """Its own addresses."""
        return address in own_addresses(self.device)

    def admits(self, packet: Packet) -> bool:
        """Its input chain."""
        return firewall.accepts(self.device, packet)

    def forwards(self, packet: Packet) -> bool:
        """Its forward chain."""
        return firewall.accepts(self.device, packet)

    def masquerades(self, packet: Packet) -> bool:
        """Its srcnat chain; masquerading the address of the interface it leaves by changes nothing."""
        leaves = [row for row in list(self.device.table("/ip/address").rows) if row.get("interface") == packet.out_interface]
        if any(row.get("address").partition("/")[0] == packet.source for row in leaves):
            return False
        return firewall.rewrites_source(self.device, packet)


def _written(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _identity(name: str, tls: Tls) -> tuple[Certificate | None, ssl.SSLContext | None]:
    if not tls:
        return None, None
    if isinstance(tls, tuple):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        return None, context
    certificate = tls if isinstance(tls, Certificate) else self_signed(name)
    return certificate, certificate.context()
