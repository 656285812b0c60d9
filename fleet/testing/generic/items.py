"""An invented device that is written object by object."""

from __future__ import annotations

from copy import deepcopy

from ...link import Http, Reply, Request, Words
from .base import Simulator, plain, refuse
from .tables import Fields, Tables, words


class ItemSimulator(Simulator):
    """One object per request, over REST or in RouterOS words; each write is live at once.

    `GET /interfaces`, `POST /interfaces`, `PATCH /interfaces/NAME`, `DELETE /interfaces/NAME`; the same with `/peers` and
    the `id` that reading shows. As words: `/peers/print`, `add`, `set =id=`, `remove =id=`, lists with commas. Private and
    preshared keys are never shown: `preshared_key` reads `hidden`, or empty where there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tables = Tables()
        self._ids: dict[tuple[str, str], str] = {}
        self._made = 0

    def answer(self, request: Request) -> Reply:
        if isinstance(request, Http):
            _, menu, *rest = request.path.split("/")
            return self._act(request.method, menu, "/".join(rest), plain(request.body) or {})
        if isinstance(request, Words):
            _, menu, verb = request.command.split("/")
            fields = {name: plain(value) for name, value in request.attributes}
            method = {"print": "GET", "add": "POST", "set": "PATCH", "remove": "DELETE"}.get(verb, verb)
            return self._act(method, menu, str(fields.pop("id", "")), fields)
        raise refuse(f"this device speaks REST and words, not {type(request).__name__}")

    def _act(self, method: str, menu: str, reference: str, fields: Fields) -> Reply:
        if menu not in ("interfaces", "peers") or method not in ("GET", "POST", "PATCH", "DELETE"):
            raise refuse(f"404 {method} /{menu}")
        if method == "GET":
            found = self._interfaces() if menu == "interfaces" else self._peers()
            return Reply(code=200, data=found, rows=tuple(words(row) for row in found))
        made = (
            self._write_interface(method, reference, fields)
            if menu == "interfaces"
            else self._write_peer(method, reference, fields)
        )
        self.wrote()
        return Reply(code=201 if method == "POST" else 200, data={"id": made}, value=made)

    def _write_interface(self, method: str, reference: str, fields: Fields) -> str:
        if method == "DELETE":
            self.tables.drop_interface(reference)
            return reference
        name = str(fields.get("name", "")) if method == "POST" else reference
        if not name or (name in self.tables.interfaces) is (method == "POST"):
            raise refuse(f"409 interface {name or 'without name'}")
        self.tables.put_interface(name, fields)
        return name

    def _write_peer(self, method: str, reference: str, fields: Fields) -> str:
        if method == "POST":
            at = (str(fields.get("interface", "")), str(fields.get("public_key", "")))
            if at in self.tables.peers:
                raise refuse("409 a peer with this public_key exists")
        else:
            found = [at for at in self.tables.peers if self._id(at) == reference]
            if not found:
                raise refuse(f"404 peer {reference}")
            at = found[0]
        if method == "DELETE":
            self.tables.drop_peer(*at)
            self._ids.pop(at, None)  # an id never comes back
            return reference
        if method == "PATCH" and fields.keys() & {"interface", "public_key"}:
            raise refuse("interface and public_key of a peer do not change")
        self.tables.put_peer(*at, fields)
        return self._id(at)

    def _id(self, at: tuple[str, str]) -> str:
        if at not in self._ids:
            self._made += 1
            self._ids[at] = f"p{self._made}"
        return self._ids[at]

    def _interfaces(self) -> list[Fields]:
        return [
            {name: value for name, value in row.items() if name != "private_key"} for row in self.tables.interfaces.values()
        ]

    def _peers(self) -> list[Fields]:
        return [
            {"id": self._id(at), **row, "preshared_key": "hidden" if row["preshared_key"] else ""}
            for at, row in self.tables.peers.items()
        ]

    def snapshot(self) -> object:
        return deepcopy((self.tables.interfaces, self.tables.peers))

    def plant(self, interface: str) -> None:
        self.tables.plant(interface)

    def foreign(self) -> object:
        return self.tables.foreign()

    def ours(self) -> object:
        return self.tables.ours()
