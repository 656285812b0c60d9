"""The controllers of `/api/wireguard` (sheet 2)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING, Any

from . import grid, keys
from .call import Action, Actions, Call
from .checks import is_address
from .fields import defaults, failures, updated
from .records import FAILED, UUID, Records, failed
from .store import Config, Record, copied
from .wgmodels import CLIENTS, GENERAL, SERVERS, client_fields, flag, server_fields

if TYPE_CHECKING:
    from .box import Box

UNIQUE = ["Public keys should be unique."]


class Tree(Records):
    """Records that `get` and `set` of the controller serve as one tree, too."""

    collection: str

    def get_tree(self, call: Call) -> object:
        """Everything; `[]` when this is no GET."""
        if not call.got:
            return []
        config = self.box.store.current
        shown = {key: self.shown(config, key, record) for key, record in config[self.section].items()}
        return {self.root: {self.collection: {self.root: shown or []}}}

    def set_tree(self, call: Call) -> object:
        """Bulk: merged by uuid, unknown keys become new records under uuids of their own; all or nothing (sheet 7)."""
        posted = call.root(self.root)
        if posted is None:
            return FAILED
        self.box.may_write(call)
        collection = posted.get(self.collection)
        records = collection.get(self.root) if isinstance(collection, dict) else None
        draft = copied(self.box.store.current)
        wrong: dict[str, Any] = {}
        for asked, values in (records if isinstance(records, dict) else {}).items():
            key = asked if asked in draft[self.section] else self.box.new_uuid()
            wrong |= self.merge(draft, key, values, f"{self.root}.{self.collection}.{self.root}.{key}")
        if wrong:
            return failed(wrong)
        self.box.save(call, draft)
        return {"result": "saved"}


class Servers(Tree):
    """Instances."""

    collection = "servers"

    def __init__(self, box: Box) -> None:
        super().__init__(box, SERVERS, "server", server_fields(box.release))

    def fresh(self, config: Config) -> dict[str, str]:
        """With the next free instance number."""
        taken = {record["instance"] for record in config[self.section].values()}
        first = 0 if self.box.release.since(24, 1, 1) else 1
        number = next(str(one) for one in range(first, 10_000) if str(one) not in taken)
        return defaults(self.fields) | {"instance": number}

    def check(self, config: Config, key: str, values: Mapping[str, str], prefix: str) -> dict[str, Any]:
        """A gateway needs disableroutes."""
        wrong = super().check(config, key, values, prefix)
        if values["gateway"] and values["disableroutes"] == "0":
            wrong[f"{prefix}.disableroutes"] = "You have to enable Disable Routes option."
        return wrong

    def set(self, call: Call) -> object:
        """Here the uuid may be missing: nothing is done (captures 5)."""
        return FAILED if call.parameter() is None else super().set(call)

    def merge(self, draft: Config, key: str, posted: Mapping[str, object], prefix: str) -> dict[str, Any]:
        """23.1 makes both keys when both are empty (sheet 2.2)."""
        wrong = super().merge(draft, key, posted, prefix)
        record = draft[self.section][key]
        if not self.box.release.since(23, 7) and not wrong and not record["privkey"] and not record["pubkey"]:
            private = self.box.new_key()
            draft[self.section][key] = {**record, "privkey": private, "pubkey": keys.public_key(private)}
        return wrong

    def row(self, config: Config, key: str, record: Record) -> dict[str, str]:
        """What a row holds changed three times (sheet 2.4)."""
        release = self.box.release
        if release.since(25, 1, 3):
            return super().row(config, key, record)
        values = self.view(config, key, record)
        joint = ", " if release.since(24, 7) else ","
        shown = ("enabled", "instance", "peers", "name", "pubkey", "port", "tunneladdress", "interface")
        by_name = {one.name: one for one in self.fields}
        return {"uuid": key} | {name: by_name[name].described(values[name], self.box, config, joint) for name in shown}

    def key_pair(self, call: Call) -> object:
        """Made on the box, stored nowhere, the private half handed out (sheet 6)."""
        private = self.box.new_key()
        return {"privkey": private, "pubkey": keys.public_key(private), "status": "ok"}


class Clients(Tree):
    """Peers."""

    collection = "clients"

    def __init__(self, box: Box) -> None:
        super().__init__(box, CLIENTS, "client", client_fields(box.release))
        self._links = any(one.name == "servers" for one in self.fields)

    def view(self, config: Config, key: str, record: Record) -> Mapping[str, str]:
        """`servers` out of the instances."""
        linked = [one for one, server in config[SERVERS].items() if key and key in server["peers"].split(",")]
        return {**super().view(config, key, record), "servers": ",".join(linked)}

    def shown(self, config: Config, key: str, record: Record) -> dict[str, object]:
        """Before 24.1.5 `selected` of a server is a string (sheet 2.4)."""
        shown = super().shown(config, key, record)
        servers = shown.get("servers")
        if isinstance(servers, dict) and not self.box.release.since(24, 1, 5):
            shown["servers"] = {one: {**option, "selected": str(option["selected"])} for one, option in servers.items()}
        return shown

    def check(self, config: Config, key: str, values: Mapping[str, str], prefix: str) -> dict[str, Any]:
        """Keys are unique together with the endpoint; 23.x does not look (sheet 2.3)."""
        release = self.box.release
        if not release.since(24, 1, 5):
            values = {name: value for name, value in values.items() if name != "servers"}
        wrong = super().check(config, key, values, prefix)
        compared = ("pubkey", "serveraddress", "serverport") if release.since(24, 1, 2) else ("pubkey",)
        same = (
            other
            for other, record in config[CLIENTS].items()
            if other != key and all(record[name] == values[name] for name in compared)
        )
        if release.since(24, 1) and f"{prefix}.pubkey" not in wrong and next(same, None) is not None:
            wrong[f"{prefix}.pubkey"] = UNIQUE
        return wrong

    def also(self, draft: Config, key: str, posted: Mapping[str, object]) -> None:
        """Link to the named instances and to no others: a body without `servers` unlinks from all (sheet 0.1)."""
        self.link(draft, key, str(posted.get("servers") or "").split(","))

    def link(self, draft: Config, key: str, wanted: list[str]) -> None:
        """Walk all instances."""
        for server, record in draft[SERVERS].items():
            peers = [one for one in record["peers"].split(",") if one]
            if server in wanted and key not in peers:
                peers.append(key)
            elif server not in wanted and key in peers:
                peers.remove(key)
            draft[SERVERS][server] = {**record, "peers": ",".join(peers)}

    def deleted(self, draft: Config, keys: str) -> None:
        """Unlinked only when the path names a single uuid, and from 24.1.6 (sheet 2.1, 7)."""
        if self.box.release.since(24, 1, 6):
            self.link(draft, keys, [])

    def search(self, call: Call) -> object:
        """`servers` filters from 24.1.5."""
        config = self.box.store.current
        wanted = call.post.get("servers")
        rows = [
            self.row(config, key, record)
            for key, record in config[CLIENTS].items()
            if not isinstance(wanted, list)
            or not wanted
            or not self.box.release.since(24, 1, 5)
            or set(wanted) & set(self.view(config, key, record)["servers"].split(","))
        ]
        return grid.page(rows, call.post)

    def row(self, config: Config, key: str, record: Record) -> dict[str, str]:
        """What a row holds changed three times (sheet 2.4)."""
        release = self.box.release
        if release.since(25, 1, 3):
            return super().row(config, key, record)
        values = self.view(config, key, record)
        shown = ["enabled", "name", "pubkey", "tunneladdress", "serveraddress", "serverport"]
        if release.since(24, 1, 5):
            shown.append("servers")
        by_name = {one.name: one for one in self.fields}
        joint = ", " if release.since(24, 7) else ","
        return {"uuid": key} | {name: by_name[name].described(values[name], self.box, config, joint) for name in shown}

    # --- peer generator -------------------------------------------------------------------------------------------------

    def psk(self, call: Call) -> object:
        """A preshared key."""
        return {"psk": self.box.new_psk(), "status": "ok"}

    def list_servers(self, call: Call) -> object:
        """Instances by name; only GET."""
        if not call.got:
            return {"status": "failed"}
        rows = [{"uuid": key, "name": record["name"]} for key, record in self.box.store.current[SERVERS].items()]
        return {"rows": rows, "status": "ok"}

    def get_server_info(self, call: Call) -> object:
        """What a new peer of an instance needs to know; only GET."""
        record = self.box.store.current[SERVERS].get(call.parameter() or "")
        if record is None or not call.got:
            return {"status": "failed"}
        return {
            "status": "ok",
            "endpoint": record["endpoint"],
            "peer_dns": record["peer_dns"],
            "mtu": record["mtu"],
            "pubkey": record["pubkey"],
            "address": ",".join(self._free(record)),
        }

    def _free(self, server: Record) -> list[str]:
        """The next free host of the first subnet of each family. For IPv6 it begins at the network itself (sheet 2.1)."""
        used = {entry.split("/")[0] for record in self.box.store.current[CLIENTS].values() for entry in _list(record)}
        used |= {entry.split("/")[0] for entry in _list(server)}
        found: dict[int, str] = {}
        for entry in _list(server):
            if not is_address(entry.split("/")[0]):
                continue
            network = ip_interface(entry).network
            first = int(network.network_address) + (network.version == 4)
            if network.version not in found:
                candidates = (str(ip_address(number)) for number in range(first, first + min(network.num_addresses, 65536)))
                free = next((one for one in candidates if one not in used), None)
                if free is not None:
                    found[network.version] = f"{free}/{network.max_prefixlen}"
        return list(found.values())

    def get_builder(self, call: Call) -> object:
        """A template."""
        config = self.box.store.current
        return {"configbuilder": self.shown(config, "", self.fresh(config))}

    def add_builder(self, call: Call) -> object:
        """A peer of one instance; the reply has no uuid (sheet 2.1)."""
        posted = call.root("configbuilder")
        if posted is None:
            return FAILED
        self.box.may_write(call)
        draft, key = copied(self.box.store.current), self.box.new_uuid()
        wrong = self.merge(draft, key, posted, "configbuilder")
        if wrong:
            return failed(wrong)
        self.link(draft, key, [str(posted.get("server") or "")])
        self.box.save(call, draft)
        return {"result": "saved"}


def _list(record: Record) -> list[str]:
    return [entry for entry in record["tunneladdress"].split(",") if entry]


class General:
    """`general/get` and `general/set`."""

    def __init__(self, box: Box) -> None:
        self._box, self._fields = box, (flag("enabled", "0"),)

    def get(self, call: Call) -> object:
        """On or off; `[]` when this is no GET."""
        return {"general": dict(self._box.store.current[GENERAL][""])} if call.got else []

    def set(self, call: Call) -> object:
        """Stored; nothing is started."""
        posted = call.root("general")
        if posted is None:
            return FAILED
        self._box.may_write(call)
        draft = copied(self._box.store.current)
        values = updated(self._fields, draft[GENERAL][""], posted, self._box.release)
        wrong = failures(self._fields, values, "general", self._box, draft)
        if wrong:
            return failed(wrong)
        draft[GENERAL][""] = values
        self._box.save(call, draft)
        return {"result": "saved"}


def actions(box: Box) -> Actions:
    """Every endpoint of the sheet's table that this release has."""
    servers, clients, general = Servers(box), Clients(box), General(box)
    prefix = "wireguard"
    found = {
        f"{prefix}/general/get": Action(general.get),
        f"{prefix}/general/set": Action(general.set),
        f"{prefix}/server/get": Action(servers.get_tree),
        f"{prefix}/server/set": Action(servers.set_tree),
        f"{prefix}/client/get": Action(clients.get_tree),
        f"{prefix}/client/set": Action(clients.set_tree),
        **servers.actions(f"{prefix}/server", "server"),
        **clients.actions(f"{prefix}/client", "client"),
        f"{prefix}/server/setserver": Action(servers.set),
    }
    if box.release.since(23, 7):
        found[f"{prefix}/server/keypair"] = Action(servers.key_pair)
    if box.release.since(24, 1):
        found[f"{prefix}/client/psk"] = Action(clients.psk)
    if box.release.since(24, 1, 5):
        found[f"{prefix}/client/listservers"] = Action(clients.list_servers)
        found[f"{prefix}/client/getclientbuilder"] = Action(clients.get_builder)
        found[f"{prefix}/client/addclientbuilder"] = Action(clients.add_builder)
    if box.release.since(24, 1, 6):
        found[f"{prefix}/client/getserverinfo"] = Action(clients.get_server_info)
    return found


__all__ = ["UUID", "Clients", "General", "Servers", "actions"]
