"""One simulated router without its sockets: state, clock, menus, and what tests look at and change directly."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from ..ether import Clock, Ether, Handshake
from . import firewall
from .addresses import Addresses, Hardware, InterfaceLists, ListMembers, Routes
from .commands import Answer
from .device import Behaviour, Device
from .factory import furnish
from .faults import Counters
from .lists import AddressLists
from .node import OnEther
from .paths import connected_rows, interface_rows
from .scripting.jobs import Job, Jobs
from .system import Clocked, Firing, Resource, SafeMode, Scheduler, Scripts
from .users import POLICIES, Groups, Users, granted
from .values import Refused
from .wireguard import Peers, WireguardInterfaces

ALL_RIGHTS: Final = frozenset(POLICIES)
FAMILIES: Final = ("ip", "ipv6")
LOG_LINES: Final = 1000


class Router(OnEther, ABC):
    """State and menus of one router. Direct access works from any thread and needs no `start`."""

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
        board: str = "hAP ax^3",
        firewall: firewall.Preset = "defconf",
        lan: str | None = "192.168.88.1/24",
        wan: str | None = "100.64.0.2/24",
        device_mode: Literal["advanced", "home", "enterprise", "rose"] = "advanced",
    ) -> None:
        self.name = name
        self.public_hosts = frozenset(public_hosts)
        self.port_forwards: dict[int, int] = {}
        self.ether = ether
        self.clock = clock or (ether.clock if ether is not None else Clock())
        self.lock = threading.RLock()
        self._scheduler = Scheduler(self)
        self._peers = Peers(self)
        self.lists = {family: AddressLists(self, f"/{family}/firewall/address-list") for family in FAMILIES}
        self.device = Device(name, version, self.clock, self._behaviours(), seed)
        self.shuffle = None if seed is None else random.Random(seed)
        self.counters = Counters()
        self.fired: list[Firing] = []
        self.on_event: Callable[[Router, Firing], None] | None = None
        self.jobs = Jobs(self)
        self.boot_delay = 3.0
        self._ticking = False
        self.masks_by_default = self.device.version >= (7, 21)
        self.sensitive_to_write = False
        self.users_hidden = False
        self.safe_mode = SafeMode(self.device)
        self.safe_mode_delay = 0.0
        self.acting: tuple[str, frozenset[str]] = ("admin", ALL_RIGHTS)
        self.handshakes: dict[tuple[str, str], Handshake] = {}
        self.booted_at = self.clock.now()
        self._wall = time.time() - self.clock.now()
        furnish(self.device, users or {"admin": ("", "full")}, board, lan, wan, device_mode, firewall)

    def _behaviours(self) -> Mapping[str, Behaviour]:
        return {
            "/interface/ethernet": Hardware(),
            "/interface/bridge": Hardware(),
            "/interface/wireguard": WireguardInterfaces(self),
            "/interface/wireguard/peers": self._peers,
            "/interface/list": InterfaceLists(),
            "/interface/list/member": ListMembers(),
            **{f"/{family}/address": Addresses(self, f"/{family}/address") for family in FAMILIES},
            **{f"/{family}/route": Routes(f"/{family}/route") for family in FAMILIES},
            **{f"/{f}/firewall/{kind}": firewall.Rules(self, kind) for f in FAMILIES for kind in ("filter", "nat", "mangle")},
            **{f"/{family}/firewall/address-list": self.lists[family] for family in FAMILIES},
            "/system/clock": Clocked(self),
            "/system/resource": Resource(self),
            "/system/scheduler": self._scheduler,
            "/system/script": Scripts(self),
            "/user": Users(),
            "/user/group": Groups(),
        }

    # --- for tests -----------------------------------------------------------------------------------------------------

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

    # --- for menus and commands ----------------------------------------------------------------------------------------

    @abstractmethod
    def push(self, connection: object, tag: str | None, words: Sequence[str]) -> None:
        """A row of `listen`, from whatever thread changed it."""

    @abstractmethod
    def conclude(self, connection: object, tag: str | None, answer: Answer) -> None:
        """The answer of a command that took its time."""

    @abstractmethod
    def log_out(self, reference: str) -> None:
        """End the connection of a `/user/active` row. Raises Refused."""

    @abstractmethod
    def reboot_soon(self) -> None:
        """`/system/reboot`: after the command was taken."""

    def begin_again(self) -> None:
        """What a reboot does to the state: new ids, sessions and counts from nothing; configuration stays."""
        with self.lock:
            self.safe_mode = SafeMode(self.device)
            for row in list(self.device.table("/user/active").rows):
                self.device.table("/user/active").delete(row)
            for lists in self.lists.values():
                lists.restart()
            for table in self.device.tables().values():
                table.renumber()
            self.booted_at = self.clock.now()
            self.jobs.forget()
            self._peers.restart(self.device)
            self._scheduler.restart(self.device)

    def acted(self) -> None:
        """A command changed configuration."""
        self.counters.writes += 1
        self.safe_mode.acted()

    def trap_words(self, refused: Refused) -> list[str]:
        """`!trap` as this router words it (sheet 1.6: the category is optional, a number may follow)."""
        message, category = refused.message, refused.category
        if self.shuffle is not None:
            category = category if self.shuffle.random() < 0.7 else None
            if message == "no such item" and self.shuffle.random() < 0.5:
                message += " (4)"
        return ["!trap", *([] if category is None else [f"=category={category}"]), f"=message={message}"]

    def extra_rows(self, menu: str) -> list[dict[str, str]]:
        """Rows that no table stores: all interfaces in one list, connected routes."""
        if menu == "/interface":
            return interface_rows(self.device)
        return connected_rows(self.device, 4 if menu == "/ip/route" else 6) if menu in ("/ip/route", "/ipv6/route") else []

    def wall_time(self) -> float:
        """Unix time by this router's clock."""
        return self._wall + self.clock.now()

    def wall_text(self) -> str:
        """Its date and time."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.wall_time()))

    def tick(self) -> None:
        """Run what is due, in order of time: scheduler entries, scripts that waited, the undo of safe mode."""
        with self.lock:
            if self._ticking:
                return
            self._ticking = True
            try:
                while self._run_due():
                    pass
            finally:
                self._ticking = False

    def _run_due(self) -> bool:
        """One thing that is due; False when nothing is."""
        wanted = (
            (self.safe_mode.undo_at, self._undo),
            (self._scheduler.next_due(), self._fire),
            (self.jobs.next_wake(), self.jobs.wake),
            *((lists.next_due(), lists.expire) for lists in self.lists.values()),
        )
        due = [(at, run) for at, run in wanted if at is not None and at <= self.clock.now()]
        if due:
            min(due, key=lambda one: one[0])[1]()
        return bool(due)

    def _undo(self) -> None:
        self.safe_mode.undo()
        self.undone()

    def undone(self) -> None:
        """Safe mode put rows back: entries among them run again, the ether looks anew."""
        self._scheduler.rearm(self.device)
        self.changed()

    def _fire(self) -> None:
        """An entry names a stored script, or is one (manual, "Scheduler")."""
        firing = self._scheduler.fire(self.device)
        if firing is None:
            return
        self.fired.append(firing)
        policies = granted(firing.policy)

        def ended(job: Job) -> None:
            firing.outcome = job.outcome

        if self.device.table("/system/script").named(firing.on_event) is None:
            self.jobs.start(f"{firing.name} from scheduler", firing.on_event, firing.owner, policies, then=ended)
        else:
            try:
                self.jobs.stored(firing.on_event, firing.owner, policies, then=ended)
            except Refused as refused:
                firing.outcome = refused.message
                self.write_log("script,error", refused.message)
        if self.on_event is not None:
            self.on_event(self, firing)

    def write_log(self, topics: str, message: str) -> None:
        """A line of `/log`, which keeps the newest thousand."""
        table = self.device.table("/log")
        table.insert({"time": self.wall_text(), "topics": topics, "message": message})
        if len(table.rows) > LOG_LINES:
            table.delete(table.rows[0])


def _written(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
