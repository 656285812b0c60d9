"""A simulated MikroTik router: RouterOS state behind its real API protocol on a loopback socket, and a node of the ether.

Written from the reference sheet alone, strict where the sheet says that a router is strict; it shares no code with fleet's
driver or transport.
"""

from __future__ import annotations

import random
import ssl
import time
from asyncio import AbstractServer
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

from ..ether import Clock, Ether
from . import firewall
from .certificates import Certificate, self_signed
from .commands import Account, Answer, Command
from .connection import Connection
from .farm import FARM, RouterosFarm, listen
from .faults import Fault, Kind, Latency, When
from .router import ALL_RIGHTS, Router
from .system import SILENT_LOSS
from .users import login

Tls: TypeAlias = "bool | Certificate | tuple[str | Path, str | Path] | None"
Run: TypeAlias = "Callable[[RouterosSimulator, Account, Command], Answer]"


class RouterosSimulator(Router):
    """One router.

    `users`: name -> (password, built-in group or comma list of policies); default admin without password, group full.
    `seed`: None answers in order; a number also shuffles execution and replies of tagged commands, leaves out categories now
    and then and adds ` (4)`. `tls`: serve api-ssl instead of api, with a certificate made now (True), given, or from files.
    `lan` and `wan` are addresses with prefix length; the uplink's is dynamic, as from DHCP.
    """

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
        super().__init__(
            name,
            version,
            users=users,
            ether=ether,
            clock=clock,
            public_hosts=public_hosts,
            seed=seed,
            board=board,
            firewall=firewall,
            lan=lan,
            wan=wan,
            device_mode=device_mode,
        )
        self.pieces: random.Random | None = None
        self.latency = Latency()
        self.log: list[Command] = []
        self.seen_as: str | None = None
        self.connections: set[Connection] = set()
        self.certificate, self._context = _identity(name, tls)
        self._faults: list[Fault] = []
        self._farm = farm or FARM
        self._server: AbstractServer | None = None
        self._started = False
        self.host, self.port = "127.0.0.1", 0

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
        self.begin_again()
        if self.ether is not None and self._server is not None:
            self.ether.detach(self)
            self.ether.attach(self)

    def reboot_soon(self) -> None:
        """`/system/reboot`: after the command was taken."""
        self._farm.loop.call_soon(self.reboot)

    def cut(self) -> None:
        """Every connection goes silent at once; the router notices after minutes (sheet 5.1)."""
        with self.lock:
            for connection in list(self.connections):
                connection.stall()
                self.safe_mode.closed(connection, SILENT_LOSS)

    def fault(self, when: When, kind: Kind, *, message: str = "failure: simulated", times: int = 1) -> None:
        """Plan a failure: at the nth command from now, at a sentence, or where a test of the command says so."""
        self._faults.append(Fault(when, kind, message, times))

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

    def push(self, connection: object, tag: str | None, words: Sequence[str]) -> None:
        """A row of `listen`, from whatever thread changed it."""
        if isinstance(connection, Connection):
            self._farm.loop.call_soon_threadsafe(connection.push, tag, list(words))

    def conclude(self, connection: object, tag: str | None, answer: Answer) -> None:
        """The answer of a command that took its time, from whatever thread moved the clock."""
        if isinstance(connection, Connection):
            self._farm.loop.call_soon_threadsafe(connection.conclude, tag, answer)


def _identity(name: str, tls: Tls) -> tuple[Certificate | None, ssl.SSLContext | None]:
    if not tls:
        return None, None
    if isinstance(tls, tuple):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        return None, context
    certificate = tls if isinstance(tls, Certificate) else self_signed(name)
    return certificate, certificate.context()
