"""An invented device that takes many lines at once and commits them or none."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Final

from ...errors import Rejected
from ...link import Exec, Reply, Request
from .base import Simulator, plain, refuse
from .tables import NEW_INTERFACE, NEW_PEER, Fields, Tables, words

_LINE: Final = re.compile(r"(set|delete) interface (\S+)(?: peer (\S+))?(?: (\w+)(?: (.*))?)?")


class BatchSimulator(Simulator):
    """Many lines in one exec, all or nothing.

    `show` prints the configuration as the lines that would make it, keys of interfaces as `public_key` only. `configure`
    reads lines on standard input and must end with `commit`:

    ```
    set interface wg0 listen_port 51820
    set interface wg0 peer KEY allowed_ips 10.0.0.2/32,192.168.2.0/24
    delete interface wg0 peer KEY preshared_key
    delete interface wg0 peer KEY
    commit
    ```
    """

    def __init__(self) -> None:
        super().__init__()
        self.tables = Tables()

    def answer(self, request: Request) -> Reply:
        if not isinstance(request, Exec):
            raise refuse(f"this device speaks a shell, not {type(request).__name__}")
        if request.command == "show":
            return Reply(text=self._shown())
        if request.command != "configure":
            raise refuse(f"{request.command}: not found")
        lines = "".join(plain(part) for part in request.stdin).splitlines()
        if not lines or lines[-1] != "commit":
            raise refuse("uncommitted changes discarded")
        working = deepcopy(self.tables)
        for number, line in enumerate(lines[:-1], 1):
            try:
                _apply_line(working, line)
            except Rejected as error:
                raise refuse(f"line {number}: {error.evidence}") from None
        self.tables = working
        self.wrote()
        return Reply()

    def _shown(self) -> str:
        lines = []
        for name, row in self.tables.interfaces.items():
            lines += [f"set interface {name} {line}" for line in _lines(row, ("name", "private_key"))]
        for (name, key), row in self.tables.peers.items():
            lines += [f"set interface {name} peer {key} {line}" for line in _lines(row, ("interface", "public_key"))]
        return "".join(f"{line}\n" for line in lines)

    def snapshot(self) -> object:
        return self._shown()

    def plant(self, interface: str) -> None:
        self.tables.plant(interface)

    def foreign(self) -> object:
        return self.tables.foreign()

    def ours(self) -> object:
        return self.tables.ours()


def _lines(row: Fields, without: tuple[str, ...]) -> list[str]:
    return [f"{name} {value}" for name, value in words(row).items() if name not in without and value]


def _apply_line(tables: Tables, line: str) -> None:
    found = _LINE.fullmatch(line)
    if found is None:
        raise refuse("syntax error")
    verb, name, peer, field, value = (part or "" for part in found.groups())
    if verb == "delete" and not field:
        if peer:
            tables.drop_peer(name, peer)
        else:
            tables.drop_interface(name)
        return
    given: Fields = {field: value} if field else {}
    if verb == "delete":
        given[field] = (NEW_PEER if peer else NEW_INTERFACE).get(field, "")
    if peer:
        tables.put_peer(name, peer, given)
    else:
        tables.put_interface(name, given)
