"""A simulated OPNsense: its REST API over real HTTPS on loopback, and a node of the ether.

Written from the reference sheet and the captures alone; it shares no code with fleet's driver or transport.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from types import TracebackType
from typing import Final

from ..certificates import Certificate, self_signed
from ..ether import Clock, Ether
from ..https import HttpFaults, HttpReply, HttpRequest, HttpsServer
from .box import PLUGINS, Box
from .dispatch import answer
from .farm import TICKER
from .users import User
from .wgmodels import CLIENTS, SERVERS

KEY: Final = "k" * 80
SECRET: Final = "s" * 80
UNLIKE: Final = {"privkey", "peers", "instance", "sequence", "minutes", "hours", "days", "months", "parameters"}
"""What two boxes in the same state do not share: keys, ids, when a job is due and what it is told."""
_MARK: Final = re.compile(r"(?<![A-Za-z0-9])fleet[:._-]")
_FOREIGN_KEY: Final = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
_DOWN: Final = HttpReply(503, b"<html><title>503 Service Unavailable</title></html>", (("Content-Type", "text/html"),))


@dataclass(slots=True)
class Refusal:
    """After `skip` writes whose path holds `path`, `times` more are refused: with a validation, or another status."""

    path: str
    status: int = 200
    message: str = "refused"
    times: int = 1
    skip: int = 0

    def strikes(self, request: HttpRequest) -> bool:
        """True if this request is refused; counts."""
        if request.method != "POST" or self.path not in request.path or self.times <= 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class OpnsenseSimulator(Box):
    """One box. `users`: default one user `wgapi` with every privilege and KEY, SECRET.

    `version`: a series (`25.1`) or a release (`25.1.12`). `lan` and `wan`: addresses with prefix length. `wan_rules` False
    leaves the uplink open. `faults` are the HTTPS server's; `maintenance` answers 503 while a firmware upgrade runs;
    `store.full_disk` makes every write fail; `broken_template` makes reconfigure render nothing and say ok. `reachable` says
    whether the management path is open: while it is not, connections are lost and new ones too.

    For `foreign` and `ours`: a record is ours if `marked` says so of one of its values, or if it is an instance whose name or
    device is in `own_interfaces`.
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
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__(
            name,
            version,
            users=[User("wgapi", keys={KEY: SECRET})] if users is None else users,
            ether=ether,
            clock=clock,
            public_hosts=public_hosts,
            names=names,
            lan=lan,
            wan=wan,
            wan_rules=wan_rules,
            plugins=plugins,
        )
        self.certificate = certificate or self_signed(name)
        self.faults = HttpFaults()
        self.maintenance = False
        self.refusals: list[Refusal] = []
        self.reachable: Callable[[], bool] | None = None
        self.before: Callable[[HttpRequest], None] | None = None
        self.host, self.port = "127.0.0.1", 0
        self.own_interfaces: set[str] = set()
        self.marked: Callable[[str], bool] = lambda text: _MARK.search(text) is not None
        self.server: HttpsServer | None = None

    # --- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> tuple[str, int]:
        """Listen, join the ether, return host and port."""
        if self.server is None:
            self.server = HttpsServer(self._handle, certificate=self.certificate, faults=self.faults, port=self.port)
            self.port = self.server.port
            self.clock.follow(self.tick)
            TICKER.enter(self.tick)
            if self.ether is not None:
                self.ether.attach(self)
        return self.host, self.port

    def stop(self) -> None:
        """Leave everything; may be called twice."""
        if self.server is not None:
            self.server.close()
            self.server = None
            self.clock.unfollow(self.tick)
            TICKER.leave(self.tick)
            if self.ether is not None:
                self.ether.detach(self)

    close = stop

    def __enter__(self) -> OpnsenseSimulator:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def set_offline(self, offline: bool = True) -> None:
        """Uplink gone, or back: nobody connects, sessions end, nothing shakes hands."""
        if self.server is not None and offline:
            self.server.pause()
        elif self.server is not None:
            self.server.resume()
        if self.ether is not None:
            self.ether.detach(self)
            if not offline:
                self.ether.attach(self)

    def replace_certificate(self, certificate: Certificate) -> None:
        """Another certificate from the next connection on, as after a renewal or by somebody in between."""
        self.certificate = certificate
        if self.server is not None:
            self.server.certificate = certificate
            self.server.drop_connections()

    def reboot(self) -> None:
        """Connections end; what runs then comes from what is stored."""
        if self.server is not None:
            self.server.pause()
        self.boot()
        if self.server is not None:
            self.server.resume()

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due in it has run when this returns."""
        self.clock.advance(seconds)
        self.tick()

    # --- requests ------------------------------------------------------------------------------------------------------

    def _handle(self, request: HttpRequest) -> HttpReply:
        if self.before is not None:
            self.before(request)
        if not self._reachable():
            self._lose_connections()
        if self.maintenance:
            return _DOWN
        with self.lock:
            self.tick()
            refused = next((one for one in self.refusals if one.strikes(request)), None)
            if refused is not None:
                body = f'{{"result":"failed","validations":{{"simulated":"{refused.message}"}}}}'.encode()
                return HttpReply(refused.status, body, (("Content-Type", "application/json; charset=UTF-8"),))
            reply = answer(self, request)
            self.tick()  # a change that cuts the management path takes the reply with it
            date = ("Date", formatdate(self.wall_time(), usegmt=True))  # as every web server (RFC 9110, 6.6.1)
            return replace(reply, headers=(*reply.headers, date))

    def _reachable(self) -> bool:
        return self.reachable is None or self.reachable()

    def _lose_connections(self) -> None:
        if self.server is not None:
            self.server.drop_connections()

    def tick(self) -> None:
        """Also looks whether the management path is still open."""
        super().tick()
        open_path = self._reachable()
        if self.faults.drop_at_connect == open_path and self.reachable is not None:
            self.faults.drop_at_connect = not open_path
            if not open_path:
                self._lose_connections()

    # --- for the contract suite ----------------------------------------------------------------------------------------

    def writes(self) -> int:
        """Revisions written since the box was made."""
        return self.store.writes

    def plant(self, interface: str) -> None:
        """One foreign object of every kind beside ours, a peer on our own instance among them.

        `interface` is the device (`wg0`), or the name of the instance.
        """
        instances = self.server_records.items()
        own = next((key for key, one in instances if interface in (one["name"], f"wg{one['instance']}")), "")
        peer = {"name": "rajs-phone", "pubkey": _FOREIGN_KEY, "tunneladdress": "172.31.0.1/32", "servers": own}
        self.insert("wireguard/client/add_client", {"client": peer})
        road = {"name": "road-warriors", "privkey": self.new_key(), "port": "13999", "tunneladdress": "172.31.9.1/24"}
        self.insert("wireguard/server/add_server", {"server": {**road, "pubkey": _FOREIGN_KEY}})
        rule = {"action": "pass", "interface": "lan", "protocol": "any", "description": "by hand"}
        self.insert("firewall/filter/add_rule", {"rule": rule})
        self.insert("firewall/alias/add_item", {"alias": {"name": "printers", "type": "host", "content": "192.168.1.9"}})
        gateway = {"name": "LAN_GW", "interface": "lan", "gateway": "192.168.1.254"}
        if self.release.since(24, 1):
            self.insert("routing/settings/add_gateway", {"gateway_item": gateway})
            self.insert("routes/routes/addroute", {"route": {"network": "172.31.8.0/24", "gateway": "LAN_GW"}})
            self.insert("firewall/source_nat/add_rule", {"rule": {"interface": "wan", "description": "by hand"}})
        job = {"minutes": "0", "hours": "4", "command": "firmware poll", "description": "nightly"}
        self.insert("cron/settings/add_job", {"job": job})

    def foreign(self) -> object:
        """Every record without our mark, in order; an instance of ours, and links to our peers, left out."""
        ours = self._ours()
        found: dict[str, dict[str, dict[str, str]]] = {}
        for section in self.store.current:
            records = {key: record for key, record in self.records(section).items() if (section, key) not in ours}
            for record in records.values() if section == SERVERS else ():
                peers = [one for one in record["peers"].split(",") if (CLIENTS, one) not in ours]
                record["peers"] = ",".join(peers)
            found[section] = records
        found["linked"] = {
            f"wg{record['instance']} {one}": {}
            for record in self.server_records.values()
            for one in record["peers"].split(",")
            if one and (CLIENTS, one) not in ours
        }
        return {
            section: records
            for section, records in found.items()
            if records and section not in ("wireguard.general", "ifgroups")
        }

    def ours(self) -> Counter[tuple[str, str]]:
        """Every record with our mark, as often as it is there, without uuids; an instance without its public key either."""
        found: Counter[tuple[str, str]] = Counter()
        for section, key in self._ours():
            unlike = UNLIKE | ({"pubkey"} if section == SERVERS else set())
            record = self.records(section).get(key, {})
            found[section, str(sorted((name, value) for name, value in record.items() if name not in unlike))] += 1
        return found

    def exposed(self) -> str:
        """What other users of the box see: its log, descriptions of the history."""
        history = [f"{one.username} {one.description}" for one in self.store.revisions]
        return "\n".join([*self.log, *self.kernel.notices, *history])

    def _ours(self) -> list[tuple[str, str]]:
        return [
            (section, key)
            for section, records in self.store.current.items()
            for key, record in records.items()
            if section != "system" and self._own(section, record)
        ]

    def _own(self, section: str, record: Mapping[str, str]) -> bool:
        if section == SERVERS and {record["name"], f"wg{record['instance']}"} & self.own_interfaces:
            return True
        return any(self.marked(value) for value in record.values())
