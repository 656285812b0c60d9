"""Replays a recorded conversation against a simulated box and tells where it answers otherwise."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opnsense_client import Answer, Client

from fleet.testing.opnsense import OpnsenseSimulator, User
from fleet.testing.opnsense.keys import new_key

FIXTURES = Path(__file__).parents[2] / "fixtures" / "opnsense"
USERS = {
    "wgapi": ("page-wireguard-config",),
    "ro": ("page-wireguard-config", "user-config-readonly"),
    "nopriv": (),
    "root": ("page-all",),
}
CUT = " ...[cut]"
NOT_REPLAYED = ("backup/diff", "backup/download/this", "search_api_key", "a peer that really shook hands")
"""Files of another box, its users, and a peer that needs a network: these have tests of their own."""
UNLIKE = re.compile(r'"(sequence|time|time_iso|filesize|id|key|secret)":("[^"]*"|\d+)')
"""What a box's history decides, not its software."""


def recorded(name: str) -> list[dict[str, Any]]:
    """A fixture's entries without the line of provenance."""
    return [json.loads(line) for line in (FIXTURES / name).read_text().splitlines()][1:]


def box_of(version: str, **given: Any) -> OpnsenseSimulator:
    """A box with the users of the recording; the key is the user's name."""
    users = [User(name, privileges, {f"key-{name}": "secret"}) for name, privileges in USERS.items()]
    return OpnsenseSimulator("OPNsense", version, users=users, wan="", lan="", **given)


class Replay:
    """One box, one recording; `wrong` collects what differs. `beginning`: compare that many characters of the bodies only."""

    def __init__(self, version: str, beginning: int | None = None) -> None:
        self._beginning = beginning
        self.box = box_of(version)
        self.box.start()
        self.box.kernel.ports = itertools.count(49497)
        self.clients = {name: Client(self.box, (f"key-{name}", "secret")) for name in USERS}
        self.clients["bad"] = Client(self.box, ("key-wgapi", "wrong"))
        self.clients["none"] = Client(self.box, None)
        self.ids: dict[str, str] = {}
        self.wrong: list[str] = []
        self.compared = 0

    def close(self) -> None:
        for client in self.clients.values():
            client.__exit__(None, None, None)
        self.box.stop()

    def run(self, name: str) -> None:
        for entry in recorded(name):
            if "unseen" in entry:
                self._unseen(entry)
            elif "field" in entry:
                self._field(entry)
            elif "kernel" in entry:
                self._kernel(entry)
            else:
                self._request(entry)

    def exchange(self, entry: dict[str, Any]) -> None:
        """An entry of the extra run: reply, then what `wg` was told, then the peers that run."""
        self._prepare(entry)
        self.box.kernel.commands.clear()
        body = entry["body"].encode() if entry["body"] else None
        headers = {"Content-Type": "application/json"} if body else {}
        found = self.clients["root"].raw("POST", entry["path"], body, headers)
        what = f"{entry['why']} {entry['path']}"
        self._compare(what, f"{found.status} {found.body}", f"{entry['status']} {entry['reply']}")
        if "kernel" in entry:
            told = [line for line in self.box.kernel.commands if line.startswith(("wg syncconf", "ifconfig wg create"))]
            self._compare(f"kernel: {what}", str(told), str(entry["kernel"]))
        if "show" in entry:
            rows = self.clients["root"].get("wireguard/service/show")["rows"]
            peers = [[row["name"], row["allowed-ips"], row["endpoint"]] for row in rows if row["type"] == "peer"]
            self._compare(f"show: {what}", str(sorted(peers)), str(sorted(entry["show"])))

    def _unseen(self, entry: dict[str, Any]) -> None:
        for method, path, body in entry["steps"]:
            found = self.clients["wgapi"].post(f"wireguard/{path}", body)
            assert method == "POST"
            assert found.get("result") not in (None, "failed") or self._beginning is not None, (entry, found)
        if entry.get("quiet"):
            self.box.kernel.commands.clear()

    def _field(self, entry: dict[str, Any]) -> None:
        """One field of an otherwise good record."""
        server = entry["section"] == "5.1"
        root = "server" if server else "client"
        good = (
            {"name": "x", "privkey": new_key()}
            if server
            else {"name": "x", "pubkey": new_key(), "tunneladdress": "10.9.9.9/32"}
        )
        value = "x" * 65 if "...(65)" in entry["value"] else entry["value"].removeprefix("`")
        found = self.clients["wgapi"].post(f"wireguard/{root}/add_{root}", {root: {**good, entry["field"]: value}})
        expected = entry["reply"].replace("Option [<uuid>]", f"Option [{value}]")
        if "uuid" in found:
            self.clients["wgapi"].post(f"wireguard/{root}/del_{root}/{found['uuid']}")
            found["uuid"] = "<uuid>"
        self._compare(f"{entry['field']} = {value}", json.dumps(found, separators=(",", ":")), expected)

    def _kernel(self, entry: dict[str, Any]) -> None:
        commands, self.box.kernel.commands = self.box.kernel.commands, []
        self._compare(f"kernel: {entry['kernel']}", "\n".join(commands), "\n".join(entry["commands"]))

    def _request(self, entry: dict[str, Any]) -> None:
        if any(word in entry["path"] + entry["title"] for word in NOT_REPLAYED):
            return
        self._prepare(entry)
        body = None if entry["body"] is None else entry["body"].encode()
        headers = dict(entry["headers"])
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        found = self.clients[entry["auth"]].raw(entry["method"], self._path(entry), body, headers)
        what = f"{entry['section']} {entry['title']} {entry['method']} {entry['path']}"
        self._compare(what, f"{found.status} {found.body}", f"{entry['status']} {entry['reply']}")
        if found.status == entry["status"]:
            self._headers(what, entry["head"], found)
        if entry["auth"] == "ro" and "uuid" in found.json:  # 25.7 and 26.1 let the read-only user write: away with it again
            self.clients["root"].post(f"wireguard/server/del_server/{found.json['uuid']}")

    def _headers(self, what: str, head: str, found: Answer) -> None:
        for part in head.split("; ") if head.startswith("Location") else [head]:
            name, _, value = part.partition(": ")
            if name and name.lower() != "content-type" and name == "Location":
                self._compare(f"{what}: {name}", found.headers.get(name.lower(), ""), value)
        if head.startswith("Content-Type: application/json"):
            self._compare(f"{what}: content type", found.headers["content-type"], head.removeprefix("Content-Type: "))

    def _path(self, entry: dict[str, Any]) -> str:
        """Names of revisions as this box has them: those the recording lists are its newest."""
        if "ids" in entry:
            self.ids = dict(zip(entry["ids"], [one.id for one in self.box.store.revisions], strict=False))
        path: str = entry["path"]
        for recorded_id, own in self.ids.items():
            path = path.replace(recorded_id, own)
        return path

    def _prepare(self, entry: dict[str, Any]) -> None:
        """Keys and uuids of the recording."""
        saved = re.search(r'"uuid":"([0-9a-f-]{36})"\}$', entry["reply"])
        uuids: Iterator[str] = iter([saved[1]] if saved else entry.get("uuids", []))
        self.box.new_uuid = lambda: next(uuids, None) or str(uuid.uuid4())
        secret = re.search(r'"(?:privkey|psk)":"([^"]+)"', entry["reply"])
        if secret and re.search("key_?pair|psk$", entry["path"], re.IGNORECASE):
            made = secret[1].replace("\\/", "/")
            self.box.new_key = self.box.new_psk = lambda: made

    def _compare(self, what: str, found: str, expected: str) -> None:
        self.compared += 1
        found, expected = UNLIKE.sub("", found), UNLIKE.sub("", expected)
        if self._beginning is not None and not what.startswith("kernel"):
            found, expected = found[: self._beginning], expected[: self._beginning]
        if expected.endswith(CUT):
            expected = expected.removesuffix(CUT)
            found = found[: len(expected)]
        if found != expected:
            self.wrong.append(f"{what}\n  answered {found}\n  recorded {expected}")
