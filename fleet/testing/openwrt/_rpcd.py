"""rpcd: the objects `uci`, `session`, `file`, `rc` and LuCI's `luci.wireguard` (sheet 3.3 to 3.5, captures 3 and 4a)."""

from __future__ import annotations

from typing import Final

from . import _init
from ._sessions import Sessions
from ._ubusobjects import Message, Method, UbusError, text_of
from ._ucieditor import Editor
from ._ucifile import Section, valid_name, valid_type
from ._ucistore import Delta, Target, UciError

_VERBS: Final = {"": "set", "+": "add", "-": "remove", "|": "list-add", "~": "list-del", "@": "rename", "^": "order"}
_STATUS: Final = {2: 2, 3: 4}
"""Numbers of libuci that the bus has a status for; everything else is `Unknown error`."""


class Rpcd(Sessions):
    """The daemon, with what it puts on the bus."""

    def objects(self) -> dict[str, dict[str, Method]]:
        """What it puts on the bus."""
        uci: dict[str, Method] = {
            name: getattr(self, f"_{name}")
            for name in ("configs", "get", "add", "set", "delete", "rename", "order", "changes", "revert", "commit", "apply",
                         "confirm", "rollback", "reload_config")
        }  # fmt: skip
        uci["state"] = self._get
        found: dict[str, dict[str, Method]] = {
            "uci": uci,
            "session": {"create": self._create, "grant": self._grant, "destroy": self._destroy},
            "file": {"read": self._read},
            "rc": {},
            "rpc-sys": {},
        }
        if self._router.installed("luci-proto-wireguard"):
            found["luci.wireguard"] = {"getWgInstances": self._instances}
        return found

    # --- stores --------------------------------------------------------------------------------------------------------

    def _editor(self, message: Message, right: str = "write") -> Editor:
        name = text_of(message, "config")
        if not name:
            raise UbusError(2)
        store = self._store(message)
        self._may(message, name, right)
        try:
            return Editor(store, name)
        except UciError as error:
            raise _bus(error) from None

    # --- reading -------------------------------------------------------------------------------------------------------

    def _configs(self, message: Message) -> Message:
        return {"configs": self._router.store.packages()}

    def _get(self, message: Message) -> Message | None:
        editor = self._editor(message, "read")
        name, option, kind = (text_of(message, key) for key in ("section", "option", "type"))
        if not name:
            chosen = [one for one in editor.package.sections if not kind or one.type == kind]
            return {"values": {one.name: _shown(one, editor.package.sections.index(one)) for one in chosen}}
        try:
            section = editor.section(name)
        except UciError:
            section = None
        if section is None:
            return None  # exit 0 and no output at all (capture 3.1)
        if not option:
            return {"values": _shown(section, None)}
        return {"value": section.options[option]} if option in section.options else None

    def _changes(self, message: Message) -> Message:
        store, name = self._store(message), text_of(message, "config")
        if name:
            self._may(message, name, "read")
            return {"changes": [_change(delta) for delta in store.deltas(name)]}
        shown: Message = {}
        for package in store.staged():
            try:
                self._may(message, package, "read")
            except UbusError:
                continue
            shown[package] = [_change(delta) for delta in store.deltas(package)]
        return {"changes": shown}

    # --- editing -------------------------------------------------------------------------------------------------------

    def _add(self, message: Message) -> Message:
        editor, kind, name = self._editor(message), text_of(message, "type"), text_of(message, "name")
        if not valid_type(kind) or (name and not valid_name(name)):
            raise UbusError(2)
        if name:
            editor.stage(Delta("", name, value=kind))
        else:
            name = editor.add(kind)
        self._values(editor, name, message)
        return {"section": name}

    def _set(self, message: Message) -> None:
        editor, name = self._editor(message), text_of(message, "section")
        if not isinstance(message.get("values"), dict) or not (name or message.get("type") or message.get("match")):
            raise UbusError(2)
        if name:
            self._values(editor, self._named(editor, name).name, message)
            return
        for section in list(editor.package.sections):
            if text_of(message, "type") in {"", section.type} and _fits(section, message.get("match")):
                self._values(editor, section.name, message)

    @staticmethod
    def _named(editor: Editor, name: str) -> Section:
        try:
            section = editor.section(name)
        except UciError as error:
            raise _bus(error) from None
        if section is None:
            raise UbusError(4)
        return section

    def _values(self, editor: Editor, name: str, message: Message) -> None:
        values = message.get("values", {})
        if not isinstance(values, dict):
            raise UbusError(2)
        for option, value in values.items():
            if not valid_name(option):
                raise UbusError(2)
            section = editor.package.section(name)
            try:
                if isinstance(value, list):
                    if section is not None and option in section.options:
                        editor.stage(Delta("-", name, option))
                    for one in value:
                        editor.stage(Delta("|", name, option, str(one)))
                else:
                    editor.set(Target(editor.package.name, name, option, _scalar(value)))
            except UciError as error:
                raise _bus(error) from None

    def _delete(self, message: Message) -> None:
        editor, name = self._editor(message), text_of(message, "section")
        options = message.get("options", [message["option"]] if "option" in message else [])
        if not name:
            for section in [one for one in editor.package.sections if one.type == text_of(message, "type")]:
                if _fits(section, message.get("match")):
                    editor.stage(Delta("-", section.name))
            return
        section = self._named(editor, name)
        if not options:
            editor.stage(Delta("-", section.name))
        for option in options if isinstance(options, list) else ():
            if option not in section.options:
                raise UbusError(4)
            editor.stage(Delta("-", section.name, str(option)))

    def _rename(self, message: Message) -> None:
        editor = self._editor(message)
        target = Target(editor.package.name, text_of(message, "section"), text_of(message, "option"), text_of(message, "name"))
        try:
            editor.rename(target)
        except UciError as error:
            raise _bus(error) from None

    def _order(self, message: Message) -> None:
        editor, names = self._editor(message), message.get("sections")
        if not isinstance(names, list):
            raise UbusError(2)
        for number, name in enumerate(names):
            editor.stage(Delta("^", str(name), value=str(number)))

    def _revert(self, message: Message) -> None:
        self._not_pending()
        editor = self._editor(message)
        editor.store.revert(Target(editor.package.name))

    def _commit(self, message: Message) -> None:
        self._not_pending()
        editor = self._editor(message)
        try:
            editor.store.commit(editor.package.name)
        except UciError as error:
            raise _bus(error) from None
        _init.config_changed(self._router, editor.package.name)  # also when nothing was staged (capture 3.4)

    def _not_pending(self) -> None:
        if self.pending:
            raise UbusError(6)

    def _reload_config(self, message: Message) -> None:
        for name in self._router.store.packages():
            _init.config_changed(self._router, name)

    # --- LuCI ----------------------------------------------------------------------------------------------------------

    def _instances(self, message: Message) -> Message:
        shown: Message = {}
        for device in self._router.kernel.devices.values():
            if device.wg is not None:
                rows = [line.split("\t") for line in self._router.capture(["wg", "show", device.name, "dump"]).splitlines()]
                peers = [self._instance_peer(device.name, row) for row in rows[1:]]
                head = {"name": device.name, "public_key": rows[0][1], "listen_port": rows[0][2], "fwmark": rows[0][3]}
                shown[device.name] = {**head, "peers": peers}
        return shown

    def _instance_peer(self, interface: str, row: list[str]) -> Message:
        try:
            sections = self._router.store.load("network").of_type(f"wireguard_{interface}")
        except UciError:
            sections = []
        names = [one.options.get("description") for one in sections if one.options.get("public_key") == row[0]]
        return {
            "name": names[0] if names else None,
            "public_key": row[0],
            "endpoint": row[2],
            "allowed_ips": [] if row[2] == "(none)" or row[3] == "(none)" else row[3].split(","),
            "latest_handshake": row[4],
            "transfer_rx": row[5],
            "transfer_tx": row[6],
            "persistent_keepalive": row[7],
        }


def _bus(error: UciError) -> UbusError:
    return UbusError(_STATUS.get(error.code, 9))


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if not isinstance(value, str | int):
        raise UbusError(2)
    return str(value)


def _shown(section: Section, index: int | None) -> Message:
    shown: Message = {".anonymous": section.anonymous, ".type": section.type, ".name": section.name}
    if index is not None:
        shown[".index"] = index
    return shown | dict(section.options)


def _fits(section: Section, match: object) -> bool:
    return not isinstance(match, dict) or all(section.options.get(key) == value for key, value in match.items())


def _change(delta: Delta) -> list[str]:
    words = [_VERBS[delta.mark], delta.section, delta.option, delta.value]
    return [word for word in words if word]
