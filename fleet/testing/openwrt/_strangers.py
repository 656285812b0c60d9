"""Somebody else's things on a router, and which things are whose: what the contract suite asks of a device."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..cases import INTERFACE
from ._flash import signature
from ._ucifile import Section
from ._ucistore import UciError

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

STRANGER: Final = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
"""Public key of the peer that somebody added by hand."""

_SECRET: Final = "6BYkIzIMxgUzsXVqzPzGDQ2f5pW7hB2nQZzRIYyqxHM="
_OFFICE: Final = "office"
_SHARED: Final = ("network", "firewall")
"""Packages with sections of both."""

_NETWORK: Final = (
    "add network wireguard_{interface}",
    "set network.@wireguard_{interface}[-1].description='Raj'\\''s laptop, do not touch'",
    "set network.@wireguard_{interface}[-1].public_key='{stranger}'",
    "set network.@wireguard_{interface}[-1].preshared_key='{secret}'",
    "add_list network.@wireguard_{interface}[-1].allowed_ips='172.31.0.1/32'",
    "set network.office=interface",
    "set network.office.proto='wireguard'",
    "set network.office.private_key='CO7OC5Hd9t02MhvFDEjdZIdEuUzVJKfGxxJ5TCl5XlY='",
    "set network.office.listen_port='13999'",
    "add_list network.office.addresses='172.31.9.1/24'",
    "add network wireguard_office",
    "set network.@wireguard_office[-1].public_key='xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg='",
    "add_list network.@wireguard_office[-1].allowed_ips='172.31.9.2/32'",
    "commit network",
)
_FIREWALL: Final = (
    "add firewall zone",
    "set firewall.@zone[-1].name='office'",
    "add_list firewall.@zone[-1].network='office'",
    "set firewall.@zone[-1].input='ACCEPT'",
    "set firewall.@zone[-1].output='ACCEPT'",
    "set firewall.@zone[-1].forward='REJECT'",
    "add firewall forwarding",
    "set firewall.@forwarding[-1].src='office'",
    "set firewall.@forwarding[-1].dest='lan'",
    "add firewall rule",
    "set firewall.@rule[-1].name='Raj'\\''s door'",
    "set firewall.@rule[-1].src='wan'",
    "set firewall.@rule[-1].proto='tcp'",
    "set firewall.@rule[-1].dest_port='99'",
    "set firewall.@rule[-1].target='ACCEPT'",
    "commit firewall",
)
_FILES: Final = {
    "/etc/config/watchcat": "# Raj: do not touch\n\nconfig watchcat 'office'\n\t# every hour\n\toption period '1h'\n",
    "/etc/crontabs/root": "# nightly report\n0 3 * * * logger report\n",
    "/etc/hotplug.d/iface/90-office": "#!/bin/sh\n# Raj\nexit 0\n",
    "/etc/sysctl.d/90-office.conf": "# conntrack of the office\n",
    "/etc/sysupgrade.conf": "# keep\n/etc/crontabs\n",
}
_TABLE: Final = (
    'table inet mine {\n chain f {\n type filter hook forward priority 5;\n tcp dport 99 accept comment "mine"\n }\n}\n'
)


class Strangers:
    """The half of a router that tells what is fleet's from what is not. `interface`: the one that is fleet's."""

    def __init__(self, router: OpenWrtSimulator) -> None:
        self._router = router
        self.interface = INTERFACE

    def plant(self, interface: str) -> None:
        """A peer in `interface`, in UCI without a name and in the kernel, and things of every other kind beside it."""
        router, self.interface = self._router, interface
        words = {"interface": interface, "stranger": STRANGER, "secret": _SECRET}
        router.stage(*(line.format(**words) for line in _NETWORK), *_FIREWALL)
        for path, text in _FILES.items():
            router.write(path, text, 0o755 if "hotplug" in path else 0o644)
        router.write("/etc/rc.local", "# Raj's modem needs this\nlogger modem\n\nexit 0\n", 0o644)
        peer = f"peer {STRANGER} preshared-key /dev/stdin allowed-ips 172.31.0.1/32"
        router.ok(f"wg set {interface} {peer}", f"{_SECRET}\n".encode())
        router.ok(f"ubus -S call network reload; ip route add 172.31.8.0/24 dev {interface}")
        router.settle()
        router.ok('"$FLEET_ROOT/etc/init.d/firewall" reload')
        router.plant_nftables(_TABLE)

    def replant(self) -> None:
        """What runs and stands nowhere is put back by hand after a reboot."""
        router = self._router
        if "172.31.8.0/24" not in router.ok("ip route"):
            router.ok(f"ip route add 172.31.8.0/24 dev {self.interface}")
        if ("inet", "mine") not in router.nftables.tables:
            router.plant_nftables(_TABLE)

    # --- whose ---------------------------------------------------------------------------------------------------------

    def _is_ours(self, section: Section) -> bool:
        if section.options.get("public_key") == STRANGER:
            return False
        if section.name == self.interface or section.type == f"wireguard_{self.interface}":
            return True
        values = [section.name] + [text for value in section.options.values() for text in _texts(value)]
        return any("fleet" in text for text in values) or self.interface in _texts(section.options.get("network", ""))

    def _sections(self, *, ours: bool) -> Iterator[tuple[object, ...]]:
        for name in _SHARED:
            try:
                package = self._router.store.committed(name)
            except UciError:
                continue
            for section in package.sections:
                if self._is_ours(section) == ours:
                    options = tuple(
                        (key, repr(value)) for key, value in section.options.items() if key != "private_key" or not ours
                    )
                    yield (name, section.type, "" if section.anonymous else section.name, options)

    def _files(self, *, ours: bool) -> Iterator[tuple[str, int, tuple[bytes, ...]]]:
        for path, (_, _, mode, content) in signature(self._router.root_path).items():
            if path in {f"etc/config/{name}" for name in _SHARED}:
                continue
            if "fleet" in path:
                if ours:
                    yield (path, mode, tuple(sorted(content.replace(str(self._router.root_path).encode(), b"").split(b"\n"))))
                continue
            lines = tuple(line for line in content.split(b"\n") if (b"fleet" in line) == ours)
            if any(line.strip() for line in lines) or not (ours or b"fleet" in content):
                yield (path, 0 if ours else mode, lines)

    def _kernel(self, *, ours: bool) -> Iterator[str]:
        seen = self._router.snapshot()
        for device in seen.devices:
            mine = device.startswith(f"{self.interface} ") and STRANGER not in device
            if mine == ours:
                yield re.sub(r"endpoint_at=[\d.]+" + (r"| key \S+" if ours else ""), "", device)
        for route in seen.routes:
            if (f"device='{self.interface}'" in route and "172.31.8.0" not in route) == ours:
                yield route

    def _rules(self, *, ours: bool) -> list[str]:
        lines = [re.sub(r"packets \d+ bytes \d+", "", line).strip() for line in self._router.snapshot().ruleset.split("\n")]
        tables = [line for line in lines if line]
        chosen = [line for line in tables if ("fleet" in line or f'"{self.interface}"' in line) == ours]
        if ours:
            return sorted(chosen)
        return [line for line in chosen if "Raj" in line or "mine" in line or "office" in line]

    def foreign(self) -> object:
        """Everything that is not fleet's, byte for byte where it has bytes."""
        return (
            list(self._sections(ours=False)),
            list(self._files(ours=False)),
            sorted(self._kernel(ours=False)),
            self._rules(ours=False),
            self._staged(ours=False),
        )

    def ours(self) -> object:
        """Everything that is fleet's, left-overs included, without private keys."""
        return (
            sorted(self._sections(ours=True), key=repr),
            list(self._files(ours=True)),
            sorted(self._kernel(ours=True)),
            self._rules(ours=True),
            self._staged(ours=True),
        )

    def _staged(self, *, ours: bool) -> list[str]:
        lines = self._router.ok("uci changes").splitlines()
        return [line for line in lines if ("fleet" in line or f".{self.interface}" in line) == ours]


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
