"""rpcd's sessions, and its apply with rollback (sheet 3.5, capture 3.3): everything of it is in RAM."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import _init
from ._ubusobjects import Message, UbusError, text_of
from ._ucistore import Store

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator


@dataclass
class _Session:
    """A login: what it may do in scope `uci`, as (package, function)."""

    timeout: int
    granted: set[tuple[str, str]] = field(default_factory=set)


class Sessions:
    """Logins with their staging directories. `pending`: the session whose apply waits for a confirm."""

    def __init__(self, router: OpenWrtSimulator) -> None:
        self._router = router
        self._sessions: dict[str, _Session] = {}
        self._made = 0
        self.pending = ""

    def restart(self) -> None:
        """At a start, or when procd respawns it: timer and sessions are gone, the snapshots stay (capture 3.3)."""
        self._router.agenda.cancel("rollback")
        self._sessions, self.pending = {}, ""
        for path in self._folder.glob("uci-*"):
            shutil.rmtree(path)
        for folder in ("", "snapshot-files", "snapshot-delta"):
            (self._folder / folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def _folder(self) -> Path:
        return self._router.root_path / "var/run/rpcd"

    def _store(self, message: Message) -> Store:
        session, plain = text_of(message, "ubus_rpc_session"), self._router.store
        if not session:
            return plain
        if session not in self._sessions:
            raise UbusError(6)
        return Store(plain.directory, self._folder / f"uci-{session}", [], plain.override, writable=plain.writable,
                     wrote=plain.wrote)  # fmt: skip

    def _may(self, message: Message, package: str, right: str) -> None:
        session = text_of(message, "ubus_rpc_session")
        if session and not {(package, right), ("*", right), ("*", "*")} & self._sessions[session].granted:
            raise UbusError(6)

    # --- apply, confirm, roll back -------------------------------------------------------------------------------------

    def _apply(self, message: Message) -> None:
        session = text_of(message, "ubus_rpc_session")
        if not session:
            raise UbusError(2)
        rollback = bool(message.get("rollback"))
        if self.pending and rollback:
            raise UbusError(6)
        if self.pending:  # the net's data goes, nothing is applied, and the answer is 0 (sheet 3.5)
            self._purge()
            return
        store = self._store(message)
        staged = store.staged()
        if not staged:
            raise UbusError(5)
        for name in staged:
            self._may(message, name, "write")
        for name in staged:
            self._snapshot(store, name)
            store.commit(name)
            _init.config_changed(self._router, name)
        if rollback:
            self.pending = session
            seconds = message.get("timeout", 60)
            self._router.agenda.at("rollback", float(seconds) if isinstance(seconds, int) else 60.0, self._expired)
        else:
            self._purge()

    def _snapshot(self, store: Store, name: str) -> None:
        for folder, source in (("snapshot-files", store.directory / name), ("snapshot-delta", store.save / name)):
            (self._folder / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(source, self._folder / folder / name)
            (self._folder / folder / name).chmod(0o600)

    def _expired(self) -> None:
        with self._router.locked():
            self._roll_back()
        self._router.touched()

    def _confirm(self, message: Message) -> None:
        session = text_of(message, "ubus_rpc_session")
        if not session:
            raise UbusError(2)
        if not self.pending:
            raise UbusError(5)
        if session != self.pending:
            raise UbusError(6)
        self._router.agenda.cancel("rollback")
        self._purge()
        self.pending = ""

    def _rollback(self, message: Message) -> None:
        session = text_of(message, "ubus_rpc_session")
        if not session:
            raise UbusError(2)
        if not self.pending:
            raise UbusError(5)
        if session != self.pending:
            raise UbusError(6)
        self._router.agenda.cancel("rollback")
        self._roll_back()

    def _roll_back(self) -> None:
        for file in sorted((self._folder / "snapshot-files").glob("*")):
            shutil.copyfile(file, self._router.root_path / "etc/config" / file.name)
            self._router.flash_wrote(file.name)
            delta = self._folder / f"uci-{self.pending}"
            if self.pending in self._sessions:
                delta.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self._folder / "snapshot-delta" / file.name, delta / file.name)
            _init.config_changed(self._router, file.name)
        self._purge()
        self.pending = ""

    def _purge(self) -> None:
        for folder in ("snapshot-files", "snapshot-delta"):
            shutil.rmtree(self._folder / folder, ignore_errors=True)  # made again by the next apply

    # --- sessions and files --------------------------------------------------------------------------------------------

    def _create(self, message: Message) -> Message:
        seconds = message.get("timeout", 300)
        timeout = seconds if isinstance(seconds, int) else 300
        self._made += 1
        seed = f"{self._router.name} {self._router.boots} {self._made}".encode()
        name = hashlib.sha256(seed).hexdigest()[:32]
        self._sessions[name] = _Session(timeout)
        return {"ubus_rpc_session": name, "timeout": timeout, "expires": timeout, "acls": {}, "data": {}}

    def _grant(self, message: Message) -> None:
        session = self._sessions.get(text_of(message, "ubus_rpc_session"))
        objects = message.get("objects")
        if session is None:
            raise UbusError(4)
        if not isinstance(objects, list):
            raise UbusError(2)
        if text_of(message, "scope") == "uci":
            session.granted |= {(str(name), str(function)) for name, function in objects}

    def _destroy(self, message: Message) -> None:
        if self._sessions.pop(text_of(message, "ubus_rpc_session"), None) is None:
            raise UbusError(4)

    def _read(self, message: Message) -> Message:
        path = self._router.root_path / text_of(message, "path").lstrip("/")
        if not path.is_file():
            raise UbusError(4)
        return {"data": path.read_text("utf-8", "surrogateescape")}
