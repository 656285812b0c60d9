"""An invented device whose configuration is one file per interface."""

from __future__ import annotations

import re
from typing import Final

from ...link import Exec, Reply, Request
from .base import Simulator, plain, refuse
from .tables import PLANTED_KEY, addresses, key, public


class FileSimulator(Simulator):
    """One file per interface, replaced as a whole and loaded by `reload`; a file that cannot be parsed is not loaded.

    `ls` prints the paths that exist; `cat PATH`; `install PATH` stores standard input; `rm PATH`; `reload NAME` loads the
    file, or takes the interface down when there is none; `running NAME` prints what is loaded, `PublicKey` instead of
    `PrivateKey`. Format as of wg-quick; lines beginning with `#` are comments.
    """

    def __init__(self, path: str = "/etc/wireguard/{interface}.conf") -> None:
        super().__init__()
        self.path = path
        self.files: dict[str, str] = {}
        self.running: dict[str, str] = {}

    def answer(self, request: Request) -> Reply:
        if not isinstance(request, Exec):
            raise refuse(f"this device speaks a shell, not {type(request).__name__}")
        verb, _, argument = request.command.partition(" ")
        if verb == "ls":
            return Reply(text="".join(f"{path}\n" for path in sorted(self.files)))
        if verb == "cat" and argument in self.files:
            return Reply(text=self.files[argument])
        if verb == "running" and argument in self.running:
            return Reply(text=self.running[argument])
        if verb in ("cat", "running"):
            if 1 in request.accept:
                return Reply(code=1, error=f"{argument}: not found")
            raise refuse(f"{argument}: not found")
        self._write(verb, argument, "".join(plain(part) for part in request.stdin))
        self.wrote()
        return Reply()

    def _write(self, verb: str, argument: str, text: str) -> None:
        if verb == "install":
            self.files[argument] = text
        elif verb == "rm":
            if self.files.pop(argument, None) is None:
                raise refuse(f"{argument}: not found")
        elif verb == "reload":
            stored = self.files.get(self.path.format(interface=argument))
            if stored is None:
                self.running.pop(argument, None)
            else:
                self.running[argument] = _loaded(stored)
        else:
            raise refuse(f"{verb}: not found")

    def snapshot(self) -> object:
        return dict(self.files), dict(self.running)

    def plant(self, interface: str) -> None:
        path = self.path.format(interface=interface)
        peer = f"\n# added by hand\n[Peer]\nPublicKey = {PLANTED_KEY}\nAllowedIPs = 203.0.113.0/24\n"
        self.files[path] = self.files.get(path, "") + peer
        self.running[interface] = _loaded(self.files[path])
        self.files["/etc/motd"] = "not a tunnel\n"

    def foreign(self) -> object:
        others = {path: text for path, text in self.files.items() if not path.startswith(self.path.partition("{")[0])}
        blocks = [block for text in self.files.values() for block in re.split(r"\n(?=\n)", text) if PLANTED_KEY in block]
        return others, blocks

    def ours(self) -> object:
        blocks = [block for text in self.files.values() for block in re.split(r"\n(?=\n)", text) if "fleet:" in block]
        return sorted(re.sub(r"PrivateKey = \S+", "", block) for block in blocks)


_FILE_KEYS: Final = {
    "[Interface]": {"PrivateKey", "ListenPort", "MTU", "Address"},
    "[Peer]": {"PublicKey", "PresharedKey", "Endpoint", "PersistentKeepalive", "AllowedIPs"},
}


def _loaded(text: str) -> str:
    """What `running` shows of a file. Raises Rejected with the number of the first line it does not know."""
    section, shown = "", []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        name, equals, value = (part.strip() for part in line.partition("="))
        if not line or line.startswith("#"):
            continue
        if line in _FILE_KEYS:
            section = line
        elif not equals or name not in _FILE_KEYS.get(section, ()):
            raise refuse(f"line {number}: not understood")
        elif name == "PrivateKey":
            line = f"PublicKey = {public(value)}"
        elif name in ("PublicKey", "PresharedKey"):
            key(value)
        elif name in ("AllowedIPs", "Address"):
            addresses(value)
        shown.append(line)
    return "".join(f"{line}\n" for line in shown)
