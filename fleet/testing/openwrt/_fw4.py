"""`fw4` and `fw3`: load, check and print what the rules of /etc/config/firewall become (sheet 5, capture 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..linux._call import Call, Refused
from ..linux._nft import Transaction
from ..linux._nftlex import NftError
from ._fw4rules import Renderer
from ._netifd import listed
from ._router import router_of

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator


def loaded(router: OpenWrtSimulator) -> bool:
    """True while the table is there."""
    return ("inet", "fw4") in router.nftables.tables


def load(router: OpenWrtSimulator) -> list[str]:
    """Flush and fill the table inet fw4, nothing else; the warnings. Raises NftError when an include is bad."""
    renderer = Renderer(router)
    ruleset = router.nftables.clone()
    ruleset.tables.pop(("inet", "fw4"), None)
    Transaction(Call(router, "nft", [], router.root_path), ruleset, handles=False, as_json=False).run(renderer.text())
    router.nftables = ruleset
    return renderer.warnings


def unload(router: OpenWrtSimulator) -> None:
    """Take the table away."""
    router.nftables = router.nftables.clone()
    router.nftables.tables.pop(("inet", "fw4"), None)


def fw4(call: Call) -> int:
    """The command, under the name of either generation."""
    router, words = router_of(call), list(call.argv)
    quiet = words[:1] == ["-q"]
    words = words[1:] if quiet else words
    command = words[0] if words else ""
    if command in {"network", "zone", "device"}:
        return _lookup(call, router, command, words[1] if len(words) > 1 else "")
    act = {"start": _start, "stop": _stop, "flush": _stop, "restart": _restart, "reload": _reload, "print": _print,
           "check": _check}.get(command)  # fmt: skip
    if act is None or (call.name == "fw3" and command == "check"):
        raise Refused(f"Usage:\n\n  {call.name} [-q] print\n  {call.name} [-q] {{start|stop|flush|restart|reload}}")
    try:
        for line in act(call, router, quiet):
            if not quiet:
                call.err(line if call.name == "fw4" else line.replace("[!]", "Warning:"))
    except NftError as error:
        raise Refused(f"/dev/stdin: Error: {error}") from None
    if command == "check" and not quiet:
        call.out("Ruleset passes nftables check.")
    return 0


def _start(call: Call, router: OpenWrtSimulator, quiet: bool) -> list[str]:
    if loaded(router):
        raise Refused(f"The {call.name} firewall appears to be already loaded.")
    return load(router)


def _stop(call: Call, router: OpenWrtSimulator, quiet: bool) -> list[str]:
    unload(router)
    return []


def _restart(call: Call, router: OpenWrtSimulator, quiet: bool) -> list[str]:
    unload(router)
    return load(router)


def _reload(call: Call, router: OpenWrtSimulator, quiet: bool) -> list[str]:
    if not loaded(router):
        raise Refused(f"The {call.name} firewall does not appear to be loaded.")
    return load(router)


def _print(call: Call, router: OpenWrtSimulator, quiet: bool) -> list[str]:
    renderer = Renderer(router)
    call.out(renderer.defines() + renderer.text(), end="")
    return renderer.warnings


def _check(call: Call, router: OpenWrtSimulator, quiet: bool) -> list[str]:
    """Exits 0 although sections are skipped (sheet 5)."""
    renderer = Renderer(router)
    transaction = Transaction(Call(router, "nft", [], router.root_path), router.nftables.clone(), handles=False, as_json=False)
    transaction.run(renderer.text())
    return renderer.warnings


def _lookup(call: Call, router: OpenWrtSimulator, what: str, name: str) -> int:
    renderer = Renderer(router)
    if what == "zone":
        zone = renderer.zones.get(name)
        if zone is None:
            return 1
        for device in zone.devices:
            call.out(device)
        return 0
    for zone in renderer.zones.values():
        inside = name in (listed(zone.section.options.get("network")) if what == "network" else zone.devices)
        if inside and name:
            call.out(zone.name)
            return 0
    return 1
