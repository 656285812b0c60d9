"""Instances and peers as `/api/wireguard/server` and `/client` keep them (sheet 2.2, 2.3, 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import grid, keys
from .call import Call
from .fields import defaults
from .records import FAILED, Records, failed
from .store import Config, Record
from .wgmodels import CLIENTS, SERVERS, client_fields, server_fields

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
        draft = self.box.draft(locked=False)
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
            row = super().row(config, key, record)
            if not release.since(25, 7, 1):
                row.pop("interface", None)
            return row
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
    locks = True

    def __init__(self, box: Box) -> None:
        super().__init__(box, CLIENTS, "client", client_fields(box.release))

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
