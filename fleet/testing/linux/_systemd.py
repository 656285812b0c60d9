"""Stand-ins for systemctl and systemd-run. Words and exit codes as systemd 252 prints them.

Enabling makes the real symbolic links under etc/systemd/system; what is active, and transient timers, are lost at a reboot.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ._call import Call, Refused

if TYPE_CHECKING:
    from .simulator import LinuxSimulator

UNITS: Final = {
    "wg-quick@.service": "[Unit]\nDescription=WireGuard via wg-quick(8) for %I\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
    "ExecStart=/usr/bin/wg-quick up %i\nExecStop=/usr/bin/wg-quick down %i\n"
    "ExecReload=/bin/sh -c 'wg-quick strip %i | wg syncconf %i /dev/stdin'\n[Install]\nWantedBy=multi-user.target\n",
    "nftables.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/sbin/nft -f /etc/nftables.conf\n"
    "ExecReload=/usr/sbin/nft -f /etc/nftables.conf\nExecStop=/usr/sbin/nft flush ruleset\n"
    "[Install]\nWantedBy=sysinit.target\n",
    "netfilter-persistent.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
    "ExecStart=/bin/sh -c 'iptables-restore /etc/iptables/rules.v4; ip6tables-restore /etc/iptables/rules.v6; true'\n"
    "[Install]\nWantedBy=multi-user.target\n",
    "ssh.service": "[Service]\nType=simple\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    "cron.service": "[Service]\nType=simple\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
}
_NO_INSTALL: Final = """\
The unit files have no installation config (WantedBy=, RequiredBy=, UpheldBy=,
Also=, or Alias= settings in the [Install] section, and DefaultInstance= for
template units). This means they are not meant to be enabled or disabled using systemctl."""
ORDER: Final = ("nftables.service", "netfilter-persistent.service", "firewalld.service", "ufw.service")


@dataclass
class Unit:
    """A unit file as loaded: `sections` of lists, because keys repeat."""

    name: str
    text: str
    sections: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def values(self, section: str, key: str) -> list[str]:
        """All values of a key; an empty one clears those before it."""
        found: list[str] = []
        for value in self.sections.get(section, {}).get(key, []):
            found = [*found, value] if value else []
        return found


def parse_unit(name: str, text: str) -> Unit:
    """Sections and repeated keys of a unit file."""
    unit, section = Unit(name, text), ""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line:
            key, _, value = line.partition("=")
            unit.sections.setdefault(section, {}).setdefault(key.strip(), []).append(value.strip())
    return unit


def seconds(text: str) -> float:
    """A systemd time span. Raises Refused."""
    total, found = 0.0, re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    units = {
        "": 1,
        "s": 1,
        "sec": 1,
        "second": 1,
        "seconds": 1,
        "ms": 0.001,
        "m": 60,
        "min": 60,
        "minute": 60,
        "h": 3600,
        "hr": 3600,
    }
    if not found or any(unit not in units for _, unit in found):
        raise Refused(f"Failed to parse timer value: {text}")
    for number, unit in found:
        total += float(number) * units[unit]
    return total


class Systemd:
    """Unit files on disk, what is loaded, what is active."""

    def __init__(self, host: LinuxSimulator) -> None:
        self._host = host
        self._loaded: dict[str, Unit] = {}
        self.active: dict[str, str] = {}
        self.transient: dict[str, list[str]] = {}
        self._services: dict[str, object] = {}

    @property
    def directory(self) -> Path:
        """Where an administrator's units are."""
        return self._host.root_path / "etc/systemd/system"

    # --- units ---------------------------------------------------------------------------------------------------------

    def fragment(self, name: str) -> str | None:
        """The text of a unit's file, of its template for an instance; None if there is none."""
        template = re.sub(r"@[^.]+\.", "@.", name)
        for candidate in (name, template):
            path = self.directory / candidate
            if path.is_file():
                text = path.read_text()
                break
            if candidate in UNITS and self._present(candidate):
                text = UNITS[candidate]
                break
        else:
            return None
        for drop_in in sorted((self.directory / f"{name}.d").glob("*.conf")):
            text += "\n" + drop_in.read_text()
        return text

    def _present(self, name: str) -> bool:
        tool = {"nftables.service": "nft", "netfilter-persistent.service": "iptables-restore", "wg-quick@.service": "wg-quick"}
        return self._host.has(tool.get(name, "sh"))

    def load(self, name: str) -> Unit | None:
        """The unit as systemd knows it: as it was when first needed, until daemon-reload."""
        if name not in self._loaded:
            text = self.fragment(name)
            if text is None:
                return None
            self._loaded[name] = parse_unit(name, text)
        return self._loaded[name]

    def stale(self, name: str) -> bool:
        """True if the file changed since it was loaded."""
        return name in self._loaded and self.fragment(name) != self._loaded[name].text

    def reload(self) -> None:
        """daemon-reload."""
        self._loaded.clear()

    # --- enable --------------------------------------------------------------------------------------------------------

    def links(self, name: str) -> list[Path]:
        """The symbolic links that enable a unit."""
        return sorted(self.directory.glob(f"*.wants/{name}"))

    def enable(self, name: str) -> list[str]:
        """Make its links; the lines systemctl prints."""
        text = self.fragment(name)
        if text is None:
            raise Refused(f"Failed to enable unit: Unit file {name} does not exist.")
        unit, said = parse_unit(name, text), []
        template = re.sub(r"@[^.]+\.", "@.", name)
        base = "/etc/systemd/system" if (self.directory / template).exists() else "/lib/systemd/system"
        wanted = unit.values("Install", "WantedBy")
        if not wanted:
            raise Refused(_NO_INSTALL, 0)
        for target in " ".join(wanted).split():
            link = self.directory / f"{target}.wants" / name
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(f"{base}/{template}")
                said.append(f"Created symlink /etc/systemd/system/{target}.wants/{name} → {base}/{template}.")
        return said

    def disable(self, name: str) -> list[str]:
        """Remove its links; the lines systemctl prints."""
        found = self.links(name)
        if not found and self.fragment(name) is None:
            raise Refused(f"Failed to disable unit: Unit file {name} does not exist.")
        for link in found:
            link.unlink()
        return [f'Removed "/etc/systemd/system/{link.parent.name}/{name}".' for link in found]

    # --- start, stop ---------------------------------------------------------------------------------------------------

    def start(self, name: str) -> int:
        """Start a unit. Exit status of what failed, 0 if nothing did. Raises Refused for unknown units."""
        unit = self.load(name)
        if unit is None:
            raise Refused(f"Failed to start {name}: Unit {name} not found.", 5)
        if self.active.get(name) == "active":
            return 0
        if name.endswith(".timer"):
            self._start_timer(unit)
            return 0
        code = self._run(unit, "ExecStartPre") or self._run(unit, "ExecStart")
        remains = unit.values("Service", "RemainAfterExit")[-1:] in (["yes"], ["true"])
        simple = unit.values("Service", "Type")[-1:] != ["oneshot"]
        self.active[name] = "failed" if code else "active" if remains or (simple and name in UNITS) else "inactive"
        return code

    def stop(self, name: str) -> int:
        """Stop a unit."""
        if name in self.transient:
            self._host.timers.cancel(name)
            self.transient.pop(name, None)
            return 0
        unit = self.load(name)
        if unit is None:
            raise Refused(f"Failed to stop {name}: Unit {name} not loaded.", 5)
        if name.endswith(".timer"):
            self._host.timers.cancel(name)
        elif self.active.get(name) == "active":
            self._run(unit, "ExecStop")
        self.active.pop(name, None)
        return 0

    def reload_unit(self, name: str) -> int:
        """Run ExecReload of an active unit."""
        unit = self.load(name)
        if unit is None or not unit.values("Service", "ExecReload"):
            raise Refused(f"Failed to reload {name}: Job type reload is not applicable for unit {name}.", 3)
        if self.active.get(name) != "active":
            raise Refused(f"{name} is not active, cannot reload.", 1)
        return self._run(unit, "ExecReload")

    def _run(self, unit: Unit, key: str) -> int:
        instance = re.search(r"@([^.]*)\.", unit.name)
        for line in unit.values("Service", key):
            forgiven = line.startswith("-")
            line = (
                line.lstrip("-@+!:")
                .replace("%i", instance[1] if instance else "")
                .replace("%I", instance[1] if instance else "")
            )
            code = self._host.run_unit(shlex.split(line), unit.values("Service", "Environment"))
            if code and not forgiven:
                return code
        return 0

    def _start_timer(self, unit: Unit) -> None:
        service = (unit.values("Timer", "Unit") or [unit.name.removesuffix(".timer") + ".service"])[-1]
        every = unit.values("Timer", "OnUnitActiveSec") or unit.values("Timer", "OnUnitInactiveSec")
        first = unit.values("Timer", "OnActiveSec") or unit.values("Timer", "OnBootSec") or every
        period = seconds(every[-1]) if every else 60.0 if unit.values("Timer", "OnCalendar") else None
        delay = seconds(first[-1]) if first else period if period is not None else 60.0
        self.active[unit.name] = "active"
        self._host.timers.at(unit.name, delay, lambda: self._fire(service), period)

    def _fire(self, service: str) -> None:
        self.active.pop(service, None)
        self.start(service)

    def boot(self) -> None:
        """Start what is enabled: firewalls first, then the rest, timers last."""
        self.reload()
        self.active.clear()
        self.transient.clear()
        enabled = {link.name for link in self.directory.glob("*.wants/*")}
        ordered = [name for name in ORDER if name in enabled] + sorted(
            enabled - set(ORDER), key=lambda name: (name[-6:] == ".timer", name)
        )
        for name in ordered:
            if self.load(name) is not None:
                self.start(name)


# --------------------------------------------------------------------------------------------------------- systemctl
def _full(name: str) -> str:
    return name if re.search(r"\.(service|timer|target|socket|path)$", name) else f"{name}.service"


def systemctl(call: Call) -> int:
    """The command line."""
    words = [word for word in call.argv if not word.startswith("-")]
    options = [word for word in call.argv if word.startswith("-")]
    command, *names = words or ["list-units"]
    manager, quiet = call.host.systemd, bool({"-q", "--quiet"} & set(options))
    if command in {"is-enabled", "is-active", "is-failed"}:
        return _query(call, command, [_full(name) for name in names], quiet)
    if command == "is-system-running":
        state = "degraded" if "failed" in manager.active.values() else "running"
        call.out(state)
        return 0 if state == "running" else 1
    if command in {"show", "cat", "status", "list-timers", "list-units", "list-unit-files"}:
        return _read(call, command, names)
    if call.uid != 0:
        raise Refused(f"Failed to {command} {names[0] if names else 'unit'}: Interactive authentication required.\n"
                      "See system logs and 'systemctl status' for details.")  # fmt: skip
    if command == "daemon-reload":
        manager.reload()
        return 0
    if not names and command != "reset-failed":
        raise Refused("Too few arguments.")
    code = 0
    for name in names:
        code = _change(call, command, _full(name), now="--now" in options, quiet=quiet) or code
    return code


def _query(call: Call, command: str, names: list[str], quiet: bool) -> int:
    manager, code = call.host.systemd, 0
    for name in names:
        if command == "is-enabled":
            if manager.fragment(name) is None:
                raise Refused(f"Failed to get unit file state for {name}: No such file or directory")
            said = "enabled" if manager.links(name) else "disabled"
            code = code or (0 if said == "enabled" else 1)
        else:
            said = "active" if name in manager.transient else manager.active.get(name, "inactive")
            wanted = "failed" if command == "is-failed" else "active"
            code = code or (0 if said == wanted else 1 if command == "is-failed" else 3)
        if not quiet:
            call.out(said)
    return code


def _read(call: Call, command: str, names: list[str]) -> int:
    manager = call.host.systemd
    if command == "show":
        wanted = [word.partition("=")[2] for word in call.argv if word.startswith("--property=")]
        if "-p" in call.argv:
            wanted.append(call.argv[call.argv.index("-p") + 1])
        name = _full(next(name for name in names if name not in wanted)) if names else ""
        facts = {"ActiveState": "active" if name in manager.transient else manager.active.get(name, "inactive"),
                 "LoadState": "loaded" if manager.load(name) or name in manager.transient else "not-found",
                 "UnitFileState": "enabled" if manager.links(name) else "disabled" if manager.fragment(name) else "",
                 "NeedDaemonReload": "yes" if manager.stale(name) else "no"}  # fmt: skip
        for key in ",".join(wanted).split(",") if wanted else facts:
            call.out(facts.get(key, "") if "--value" in call.argv else f"{key}={facts.get(key, '')}")
        return 0
    if command == "cat":
        text = manager.fragment(_full(names[0])) if names else None
        if text is None:
            raise Refused(f"No files found for {_full(names[0]) if names else ''}.")
        call.out(f"# /etc/systemd/system/{_full(names[0])}\n{text}")
        return 0
    if command == "status":
        name = _full(names[0]) if names else ""
        state = manager.active.get(name, "inactive")
        if manager.load(name) is None and name not in manager.transient:
            raise Refused(f"Unit {name} could not be found.", 4)
        call.out(f"● {name}\n     Active: {state}")
        return 0 if state == "active" else 3
    known = [*manager.active, *manager.transient] if command != "list-timers" else [*call.host.timers.names()]
    for name in known:
        call.out(name)
    return 0


def _change(call: Call, command: str, name: str, *, now: bool, quiet: bool) -> int:
    manager = call.host.systemd
    if command in {"enable", "disable"}:
        for line in manager.enable(name) if command == "enable" else manager.disable(name):
            if not quiet:
                call.err(line)
        if not now:
            return 0
        command = "start" if command == "enable" else "stop"
    if manager.stale(name):
        call.err(f"Warning: The unit file, source configuration file or drop-ins of {name} changed on disk. "
                 "Run 'systemctl daemon-reload' to reload units.")  # fmt: skip
    if command == "stop":
        return manager.stop(name)
    if command in {"restart", "try-restart", "reload-or-restart"}:
        if command == "try-restart" and manager.active.get(name) != "active":
            return 0
        if command == "reload-or-restart" and manager.active.get(name) == "active":
            unit = manager.load(name)
            if unit is not None and unit.values("Service", "ExecReload"):
                return manager.reload_unit(name)
        if manager.load(name) is None:
            raise Refused(f"Failed to restart {name}: Unit {name} not found.", 5)
        manager.stop(name)
        command = "start"
    if command == "start":
        if manager.start(name):
            call.err(f"Job for {name} failed because the control process exited with error code.\n"
                     f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.')  # fmt: skip
            return 1
        return 0
    if command == "reload":
        return manager.reload_unit(name)
    if command == "reset-failed":
        manager.active = {key: state for key, state in manager.active.items() if state != "failed"}
        return 0
    raise Refused(f"Unknown command verb {command}.")


# ------------------------------------------------------------------------------------------------------- systemd-run
def systemd_run(call: Call) -> int:
    """A transient service now, or a transient timer with --on-active."""
    if call.uid != 0:
        raise Refused("Failed to start transient timer unit: Interactive authentication required.")
    words, delay, unit, quiet, environment = list(call.argv), None, "", False, []
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        key, _, value = word.partition("=")
        if (
            key in {"--on-active", "--unit", "--setenv", "--timer-property", "--property", "-p", "-u", "-E", "--description"}
            and not value
        ):
            value = words.pop(0) if words else ""
        if key == "--on-active":
            delay = seconds(value)
        elif key in {"--unit", "-u"}:
            unit = value.removesuffix(".service").removesuffix(".timer")
        elif key in {"--setenv", "-E"}:
            environment.append(value)
        elif key in {"--quiet", "-q"}:
            quiet = True
        elif key not in {
            "--collect",
            "-G",
            "--no-block",
            "--timer-property",
            "--property",
            "-p",
            "--description",
            "--service-type",
            "-r",
        }:
            raise Refused(f"systemd-run: unrecognized option '{word}'")
    if not words:
        raise Refused("Command line to execute required.")
    host = call.host
    unit = unit or f"run-u{len(host.systemd.transient) + 1}"
    if delay is None:
        if not quiet:
            call.err(f"Running as unit: {unit}.service")
        host.spawn_unit(words, environment)
        return 0
    timer = f"{unit}.timer"
    if timer in host.systemd.transient:
        raise Refused(f"Failed to start transient timer unit: Unit {timer} was already loaded or has a fragment file.")
    host.systemd.transient[timer] = words

    def fire() -> None:
        host.systemd.transient.pop(timer, None)
        host.run_unit(words, environment)

    host.timers.at(timer, delay, fire)
    if not quiet:
        call.err(f"Running timer as unit: {timer}\nWill run service as unit: {unit}.service")
    return 0


__all__ = ["Systemd", "systemctl", "systemd_run"]
