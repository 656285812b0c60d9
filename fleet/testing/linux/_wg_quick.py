"""The stand-in for wg-quick(8): up, down, save, strip. Words as the bash script of wireguard-tools 1.0.20210914 prints them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ._call import Call, Refused

_NAME: Final = r"[a-zA-Z0-9_=+.-]{1,15}"
_HOOKS: Final = ("preup", "postup", "predown", "postdown")


@dataclass
class _Config:
    file: Path
    interface: str
    addresses: list[str] = field(default_factory=list)
    mtu: str = ""
    table: str = ""
    dns: list[str] = field(default_factory=list)
    save: bool = False
    hooks: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _HOOKS})
    wg: str = ""


def wg_quick(call: Call) -> int:
    """One of the four commands."""
    if call.argv in (["--help"], ["-h"], ["help"]):
        call.err("Usage: wg-quick [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]")
        return 0
    if len(call.argv) != 2 or call.argv[0] not in {"up", "down", "save", "strip"}:
        raise Refused("Usage: wg-quick [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]")
    if call.uid != 0:
        raise Refused(
            "wg-quick must be run as root. Please enter the password for fleet to continue: \nsudo: a password is required"
        )
    config = _parse(call, call.argv[1])
    if call.argv[0] == "strip":
        call.out(config.wg)
    elif call.argv[0] == "up":
        _Runner(call, config).up()
    elif call.argv[0] == "down":
        _Runner(call, config).down()
    else:
        _Runner(call, config).save()
    return 0


def _parse(call: Call, name: str) -> _Config:
    if re.fullmatch(_NAME, name):
        name = f"/etc/wireguard/{name}.conf"
    path = call.path(name)
    if not path.exists():
        raise Refused(f"wg-quick: `{name}' does not exist")
    match = re.search(rf"(^|/)({_NAME})\.conf$", name)
    if match is None:
        raise Refused("wg-quick: The config file must be a valid interface name, followed by .conf")
    if path.stat().st_mode & path.parent.stat().st_mode & 0o007:
        call.err(f"Warning: `{name}' is world accessible")
    config, inside, kept = _Config(path, match[2]), False, []
    for line in path.read_text("utf-8", "surrogateescape").splitlines():
        bare = line.partition("#")[0]
        key, _, value = (part.strip() for part in bare.partition("="))
        if key.startswith("["):
            inside = key.lower() == "[interface]"
        if not (inside and _interface_line(config, key.lower(), value)):
            kept.append(line)
    config.wg = "\n".join(kept) + "\n" if kept else ""
    return config


def _interface_line(config: _Config, key: str, value: str) -> bool:
    if key in _HOOKS:
        config.hooks[key].append(value)
    elif key == "address":
        config.addresses += value.replace(",", " ").split()
    elif key == "mtu":
        config.mtu = value
    elif key == "table":
        config.table = value
    elif key == "dns":
        config.dns += value.replace(",", " ").split()
    elif key == "saveconfig":
        if value not in {"true", "false"}:
            raise Refused(f"wg-quick: `{value}' is neither true nor false")
        config.save = value == "true"
    else:
        return False
    return True


class _Failed(Exception):
    """A command of wg-quick failed: `set -e`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Runner:
    """Runs what wg-quick runs, through the same stand-ins, and says it as wg-quick does."""

    def __init__(self, call: Call, config: _Config) -> None:
        self._call = call
        self._config = config
        self._name = config.interface

    def _cmd(self, *words: str, stdin: bytes = b"", must: bool = True) -> int:
        self._call.err(f"[#] {' '.join(words)}")
        code = self._call.host.invoke(self._call, list(words), stdin)
        if code and must:
            raise _Failed(code)
        return code

    def _hooks(self, which: str) -> None:
        for hook in self._config.hooks[which]:
            hook = hook.replace("%i", self._name)
            self._call.err(f"[#] {hook}")
            self._call.flush()
            code = self._call.host.shell(hook, self._call.fds)
            if code:
                raise _Failed(code)

    def up(self) -> None:
        """Bring it up; whatever fails, the interface is taken away again and the exit code is that of what failed."""
        if self._name in self._call.host.kernel.devices:
            raise Refused(f"wg-quick: `{self._name}' already exists")
        try:
            self._hooks("preup")
            self._add()
            self._configure()
            self._hooks("postup")
        except _Failed as failed:
            if self._name in self._call.host.kernel.devices:
                self._cmd("ip", "link", "delete", "dev", self._name, must=False)
            raise Refused("", failed.code) from None

    def _add(self) -> None:
        if self._cmd("ip", "link", "add", self._name, "type", "wireguard", must=False) == 0:
            return
        if not self._call.host.has("wireguard-go"):
            raise _Failed(2)
        self._call.err("[!] Missing WireGuard kernel module. Falling back to slow userspace implementation.")
        self._cmd("wireguard-go", self._name)

    def _configure(self) -> None:
        config, kernel = self._config, self._call.host.kernel
        self._call.err(f"[#] wg setconf {self._name} /dev/fd/63")
        code = self._call.host.invoke(self._call, ["wg", "setconf", self._name, "/dev/stdin"], config.wg.encode())
        if code:
            raise _Failed(code)
        for address in config.addresses:
            self._cmd("ip", "-6" if ":" in address else "-4", "address", "add", address, "dev", self._name)
        self._cmd("ip", "link", "set", "mtu", config.mtu or self._guessed_mtu(), "up", "dev", self._name)
        if config.dns:
            self._cmd("resolvconf", "-a", self._name, "-m", "0", "-x")
        wireguard = kernel.device(self._name).wg
        prefixes = [prefix for peer in (wireguard.peers.values() if wireguard else ()) for prefix in peer.allowed_ips]
        for prefix in sorted(prefixes, key=lambda prefix: (-prefix.prefixlen, str(prefix))):
            self._route(prefix)

    def _guessed_mtu(self) -> str:
        """80 less than the largest MTU on the way to an endpoint, else to the default route, else 1500."""
        kernel = self._call.host.kernel
        wireguard = kernel.device(self._name).wg
        ends = [peer.endpoint[0] for peer in (wireguard.peers.values() if wireguard else ()) if peer.endpoint]
        routes = [kernel.lookup(ipaddress.ip_address(end)) for end in ends or ["0.0.0.0"]]
        mtus = [kernel.devices[route.device].mtu for route in routes if route is not None and route.device in kernel.devices]
        return str(max(mtus, default=1500) - 80)

    def _route(self, prefix: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
        config, family = self._config, f"-{prefix.version}"
        if config.table == "off":
            return
        if config.table not in {"", "auto"}:
            self._cmd("ip", family, "route", "add", str(prefix), "dev", self._name, "table", config.table)
        elif prefix.prefixlen == 0:
            self._default(prefix, family)
        else:
            covered = any(
                route.device == self._name and route.prefix.version == prefix.version
                and prefix.subnet_of(route.prefix)  # type: ignore[arg-type]
                for route in self._call.host.kernel.routes if route.table == "main"
            )  # fmt: skip
            if not covered:
                self._cmd("ip", family, "route", "add", str(prefix), "dev", self._name)

    def _default(self, prefix: ipaddress.IPv4Network | ipaddress.IPv6Network, family: str) -> None:
        self._cmd("wg", "set", self._name, "fwmark", "51820")
        self._cmd("ip", family, "route", "add", str(prefix), "dev", self._name, "table", "51820")
        self._cmd("ip", family, "rule", "add", "not", "fwmark", "51820", "table", "51820")
        self._cmd("ip", family, "rule", "add", "table", "main", "suppress_prefixlength", "0")

    def _is_wireguard(self) -> None:
        device = self._call.host.kernel.devices.get(self._name)
        if device is None or device.wg is None:
            raise Refused(f"wg-quick: `{self._name}' is not a WireGuard interface")

    def down(self) -> None:
        """Take it down."""
        self._is_wireguard()
        try:
            self._hooks("predown")
            if self._config.save:
                self.save()
            kernel = self._call.host.kernel
            if any(route.table == "51820" and route.device == self._name for route in kernel.routes):
                kernel.rules = [rule for rule in kernel.rules if "51820" not in rule.text and "suppress" not in rule.text]
            self._cmd("ip", "link", "delete", "dev", self._name)
            self._hooks("postdown")
        except _Failed as failed:
            raise Refused("", failed.code) from None

    def save(self) -> None:
        """Write what runs over the file."""
        self._is_wireguard()
        self._call.err(f"[#] wg showconf {self._name}")
        said = self._call.host.capture(["wg", "showconf", self._name]).removeprefix("[Interface]\n")
        config, lines = self._config, ["[Interface]"]
        lines += [f"Address = {address}" for address in self._call.host.kernel.device(self._name).addresses]
        lines += [f"MTU = {config.mtu}"] if config.mtu else []
        lines += [f"Table = {config.table}"] if config.table else []
        lines += ["SaveConfig = true"] if config.save else []
        for key, word in zip(_HOOKS, ("PreUp", "PostUp", "PreDown", "PostDown"), strict=True):
            lines += [f"{word} = {hook}" for hook in config.hooks[key]]
        temporary = config.file.with_name(config.file.name + ".tmp")
        temporary.write_text("\n".join(lines) + "\n" + said)
        temporary.chmod(0o600)
        temporary.replace(config.file)
