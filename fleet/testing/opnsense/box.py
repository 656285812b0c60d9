"""One simulated box without its sockets: stored configuration, running side, clock, timers, and what tests look at."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ..ether import Clock, Ether
from . import backup, cron, extras, firewall, keys, service, wireguard
from .call import Actions, Call
from .factory import initial
from .kernel import Kernel
from .node import OnEther
from .refusal import UserRefusal
from .release import release
from .store import Config, Store, copied
from .users import User, Users
from .wgmodels import CLIENTS, SERVERS

GROUPS = "ifgroups"
PLUGINS: Final = {"os-wireguard": "wireguard/", "os-firewall": "firewall/"}
"""Plugins of 23.x and the endpoints that come with them (sheet 0 and 4)."""


class Box(OnEther):
    """State and behaviour of one box. Direct access works from any thread and needs no `start`.

    `names`: what endpoint names resolve to beside those of the ether. `plugins`: those installed, which matters on 23.x only,
    where WireGuard and the filter's API are plugins. `kernel.hiccup`: seconds for which a flushed tunnel carries nothing.
    """

    def __init__(
        self,
        name: str = "OPNsense",
        version: str = "25.1",
        *,
        users: Iterable[User] | None = None,
        ether: Ether | None = None,
        clock: Clock | None = None,
        public_hosts: Iterable[str] = (),
        names: Mapping[str, str] | None = None,
        lan: str = "192.168.1.1/24",
        wan: str = "100.64.0.2/24",
        wan_rules: bool = True,
        plugins: Iterable[str] = PLUGINS,
    ) -> None:
        self.name, self.release = name, release(version)
        self.public_hosts = frozenset(public_hosts)
        self.port_forwards: dict[int, int] = {}
        self.names = dict(names or {})
        self.ether = ether
        self.clock = clock or (ether.clock if ether is not None else Clock())
        self.lock = threading.RLock()
        self._wall = time.time() - self.clock.now()
        self.users = Users(users if users is not None else ())
        self.open_wan = not wan_rules
        self.broken_template = False
        self.meanwhile: Callable[[], None] | None = None
        self.log: list[str] = []
        self.new_uuid: Callable[[], str] = lambda: str(uuid.uuid4())
        self.new_key: Callable[[], str] = keys.new_key
        self.new_psk: Callable[[], str] = keys.new_psk
        self.store = Store(self.release, self.wall_time, initial(name, lan, wan))
        self.kernel = Kernel(self.resolve, self.forget, self.clock.now)
        self.service = service.Service(self)
        self.filter = firewall.Filter(self)
        self.cron = cron.Cron(self)
        self.routing = extras.Routing(self)
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._ticking = False
        self.actions: Actions = {
            **wireguard.actions(self),
            **service.actions(self, self.service),
            **self.filter.actions(),
            **backup.actions(self),
            **self.cron.actions(),
            **self.routing.actions(),
            **extras.actions(self),
        }
        missing = () if self.release.since(24, 1) else tuple(PLUGINS[one] for one in PLUGINS if one not in plugins)
        self.actions = {path: action for path, action in self.actions.items() if not path.startswith(missing)}
        self.boot()

    # --- writing --------------------------------------------------------------------------------------------------------

    def may_write(self, call: Call) -> None:
        """Raises UserRefusal for a user who may only read."""
        if call.readonly:
            raise UserRefusal(f"User {call.username.partition('@')[0]} denied for write access (user-config-readonly set)")

    def save(self, call: Call, draft: Config) -> None:
        """One write by an API call."""
        self.store.commit(draft, call.username, f"{call.uri} made changes")

    def draft(self, *, locked: bool) -> Config:
        """The configuration as a writing call reads it. `meanwhile` is what somebody else does at that moment.

        From 25.1.3 every write locks and reads again; before, only some did: then the other's write is lost (sheet 7).
        """
        with_lock = locked or self.release.since(25, 1, 3)
        draft = copied(self.store.current)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return copied(self.store.current) if with_lock else draft

    def register_group(self, call: Call) -> None:
        """`interface invoke registration`: the entry of group `wireguard`, one revision the first time (sheet 3)."""
        if "wireguard" not in self.store.current[GROUPS]:
            draft = copied(self.store.current)
            draft[GROUPS]["wireguard"] = {"ifname": "wireguard", "descr": "WireGuard (Group)"}
            self.save(call, draft)

    def edit(self, section: str, key: str, **values: str) -> None:
        """What an administrator does in the web GUI meanwhile: change fields of a record, or make it."""
        with self.lock:
            draft = copied(self.store.current)
            draft[section][key] = {**draft[section].get(key, {}), **values}
            self.store.commit(draft, "admin@192.168.1.50", f"/ui/{section} made changes")

    def insert(self, action: str, body: Mapping[str, object], *parameters: str) -> str:
        """An API call by root without a socket, as another administrator would make it; the new uuid, if there is one.

        Raises ValueError with the reply when it is refused.
        """
        found = self.ask("POST", action, body, *parameters)
        if not isinstance(found, dict) or found.get("result") == "failed":
            raise ValueError(f"{action} was refused: {found}")
        return str(found.get("uuid", ""))

    def ask(self, method: str, action: str, body: Mapping[str, object] | None = None, *parameters: str) -> object:
        """What an action answers to root; `action` as `wireguard/server/add_server`."""
        with self.lock:
            run = self.actions[action.replace("_", "").lower()].run
            return run(Call(method, f"/api/{action}", parameters, body or {}, "root@127.0.0.1"))

    def records(self, section: str) -> dict[str, dict[str, str]]:
        """The stored records of a section by uuid."""
        with self.lock:
            return {key: dict(record) for key, record in self.store.current[section].items()}

    @property
    def server_records(self) -> dict[str, dict[str, str]]:
        """Stored instances."""
        return self.records(SERVERS)

    @property
    def client_records(self) -> dict[str, dict[str, str]]:
        """Stored peers."""
        return self.records(CLIENTS)

    # --- time -----------------------------------------------------------------------------------------------------------

    def wall_time(self) -> float:
        """Unix time by this box's clock."""
        return self.wall_at(self.clock.now())

    def wall_at(self, moment: float) -> float:
        """Unix time of a moment of the clock."""
        return self._wall + moment

    def at(self, due: float, run: Callable[[], None]) -> None:
        """Run something when the clock is there."""
        self._timers.append((due, run))

    def tick(self) -> None:
        """Run what is due, in order of time."""
        with self.lock:
            if self._ticking:
                return
            self._ticking = True
            try:
                self._run_due()
                self.cron.tick()
            finally:
                self._ticking = False

    def _run_due(self) -> None:
        while due := sorted((one for one in self._timers if one[0] <= self.clock.now()), key=lambda one: one[0]):
            self._timers.remove(due[0])
            due[0][1]()

    # --- power ----------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Everything that runs comes from what is stored (sheet 3.1)."""
        with self.lock:
            self._timers.clear()
            self.kernel.power_off()
            self.service.apply()
            self.filter.reload()
            self.routing.apply()
            self.cron.apply()

    def reboot(self) -> None:
        """Power off and on."""
        self.boot()
