"""/etc/init.d, procd and the boot order: what is enabled in /etc/rc.d starts, nothing else (sheet 3.4, 6, 8)."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

from ..linux._call import Call, Refused
from . import _fw4
from ._router import router_of

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

RELOAD_DELAY: Final = 1.0
"""Seconds between `config.change` and the reload of a service: PROCD_RELOAD_DELAY of procd.sh (sheet 3.5)."""

SERVICES: Final = {
    "rpcd": 12,
    "network": 20,
    "log": 12,
    "firewall": 19,
    "dropbear": 19,
    "system": 10,
    "cron": 50,
    "sysntpd": 98,
}
"""Services of the default image that have a part here, with their place in the boot."""

_PACKAGES: Final = {"network": "network", "firewall": "firewall", "dropbear": "dropbear", "system": "system"}
"""Which service a changed package reloads."""

_HELP: Final = """\
Syntax: /etc/init.d/{name} [command]

Available commands:
	start           Start the service
	stop            Stop the service
	restart         Restart the service
	reload          Reload configuration files (or restart if service does not implement reload)
	enable          Enable service autostart
	disable         Disable service autostart
	enabled         Check if service is started on boot
	running         Check if service is running
	status          Service status"""

SCRIPT: Final = """\
#!/bin/sh
# START={start:02d}
# USE_PROCD=1
exec "$FLEET_ROOT/bin/.rc" {name} "$@"
"""

COMMON: Final = """\
#!/bin/sh
# Runs a script of /etc/init.d: what it defines as start, stop, reload, boot is what it does.
START="" STOP="" USE_PROCD=""
script=$1 action=${2:-help}
name=${script##*/}
name=${name#[SK][0-9][0-9]}
start() { return 0; }
stop() { return 0; }
reload() { restart; }
restart() { stop "$@"; start "$@"; }
boot() { start "$@"; }
shutdown() { stop; }
. "$script"
if [ "$USE_PROCD" ] && type start_service >/dev/null 2>&1; then
	procd_open_instance() { :; }
	procd_close_instance() { :; }
	procd_set_param() {
		[ "$1" = command ] || return 0
		shift
		start-stop-daemon -S -b -x "$1" -- $(shift; echo "$@")
	}
	start() { start_service "$@"; }
	stop() { type stop_service >/dev/null 2>&1 && stop_service "$@"; return 0; }
fi
links="$FLEET_ROOT/etc/rc.d"
case $action in
enable)
	rm -f "$links"/S[0-9][0-9]"$name" "$links"/K[0-9][0-9]"$name"
	[ -z "$START" ] || ln -sf "../init.d/$name" "$links/S$START$name"
	[ -z "$STOP" ] || ln -sf "../init.d/$name" "$links/K$STOP$name"
	[ -n "$START$STOP" ] ;;
disable) rm -f "$links"/S[0-9][0-9]"$name" "$links"/K[0-9][0-9]"$name" ;;
enabled) [ -n "$START" ] && [ -e "$links/S$START$name" ] ;;
start | stop | restart | reload | boot | shutdown) shift 2; $action "$@" ;;
*) echo "Syntax: /etc/init.d/$name [command]"; exit 1 ;;
esac
"""


def enabled(router: OpenWrtSimulator, name: str) -> bool:
    """True if a service starts at boot."""
    return any((router.root_path / "etc/rc.d").glob(f"S[0-9][0-9]{name}"))


def rc(call: Call) -> int:
    """`/etc/init.d/NAME ACTION` of a service of the image."""
    router = router_of(call)
    name, *words = call.argv or [""]
    action = words[0] if words else "help"
    links = router.root_path / "etc/rc.d"
    if action in {"enable", "disable"}:
        for link in links.glob(f"[SK][0-9][0-9]{name}"):
            link.unlink()
        if action == "enable":
            os.symlink(f"../init.d/{name}", links / f"S{SERVICES[name]:02d}{name}")
        return 0
    if action == "enabled":
        return 0 if enabled(router, name) else 1
    if action in {"running", "status"}:
        running = router.services.get(name, False)
        if action == "status":
            call.out("running" if running else "inactive")
        return 0 if running else 1
    if action not in {"start", "stop", "restart", "reload", "boot"}:
        call.out(_HELP.format(name=name))
        return 1
    return act(router, name, action, call)


def act(router: OpenWrtSimulator, name: str, action: str, call: Call | None = None) -> int:
    """What the script of a service does."""
    if name == "network":
        return _network(router, action)
    if name == "firewall":
        return _firewall(router, action, call)
    router.services[name] = action != "stop"
    if name == "cron":
        router.cron.restart() if action != "stop" else router.cron.stop()
    if name == "system" and action != "stop":
        router.apply_system()
    if name == "rpcd" and action != "stop":
        router.rpcd.restart()
    return 0


def _network(router: OpenWrtSimulator, action: str) -> int:
    netifd = router.netifd
    if action in {"stop", "restart"}:
        netifd.stop()
    if action == "reload" and netifd.running:
        netifd.reload()
    elif action != "stop" and not netifd.running:
        netifd.start()
    router.services["network"] = action != "stop"
    return 0


def _firewall(router: OpenWrtSimulator, action: str, call: Call | None) -> int:
    # rc.common of a procd service exits 0 whatever fw4 says (capture 5: reload, rc=0).
    command = {"boot": "start"}.get(action, action)
    if command == "reload" and not _fw4.loaded(router):
        command = "start"
    inner = Call(router, router.release.firewall, [command], router.root_path)
    try:
        _fw4.fw4(inner)
    except Refused as refused:
        inner.err(refused.words)
    if call is not None:
        call.adopt(inner)
    router.services["firewall"] = action != "stop"
    return 0


def service(call: Call) -> int:
    """`service NAME ACTION`."""
    router, words = router_of(call), call.argv
    if not words:
        for path in sorted((router.root_path / "etc/init.d").iterdir()):
            state = "enabled" if enabled(router, path.name) else "disabled"
            running = "running" if router.services.get(path.name) else "stopped"
            call.out(f"{f'/etc/init.d/{path.name}':<35}{state:<20}{running}")
        return 0
    path = router.root_path / "etc/init.d" / words[0]
    if not path.exists():
        raise Refused(f'Service "{words[0]}" not found:')
    if words[0] in SERVICES:
        inner = Call(router, "rc", list(words), call.cwd, call.uid, call.fds)
        code = rc(inner)
        call.adopt(inner)
        return code
    with router.unlocked():
        return router.shell(f'sh "$FLEET_ROOT/etc/rc.common" "{path}" {words[1] if len(words) > 1 else "help"}', call.fds)


# ------------------------------------------------------------------------------------------------------------- boot
def boot(router: OpenWrtSimulator) -> None:
    """Run what /etc/rc.d says, in its order, then /etc/rc.local (S95done)."""
    links = sorted(path for path in (router.root_path / "etc/rc.d").glob("S[0-9][0-9]*"))
    done = False
    for link in links:
        name = link.name[3:]
        if link.name >= "S95" and not done:
            done = _rc_local(router)
        if not link.exists():
            continue
        if name in SERVICES and _is_ours(link.read_text(errors="replace")):
            with router.locked():
                act(router, name, "boot")
        else:
            router.shell(f'sh "$FLEET_ROOT/etc/rc.common" "{link}" boot')
    if not done:
        _rc_local(router)


def _is_ours(text: str) -> bool:
    return '/bin/.rc"' in text


def _rc_local(router: OpenWrtSimulator) -> bool:
    script = router.root_path / "etc/rc.local"
    if script.exists():
        router.shell(f'sh "{script}"')
    return True


# ------------------------------------------------------------------------------------------------------- config.change
def config_changed(router: OpenWrtSimulator, package: str) -> None:
    """Procd's event: the service that watches the package reloads a second later (sheet 3.5)."""
    name = _PACKAGES.get(package)
    if name is None or not enabled(router, name):
        return

    def reload() -> None:
        with router.locked():
            act(router, name, "reload")
        router.touched()

    router.agenda.at(f"reload {name}", RELOAD_DELAY * router.hurry, reload)


def reload_config(call: Call) -> int:
    """Compare packages with what the last run saw; the first run only records (sheet 3.6)."""
    router = router_of(call)
    record = router.root_path / "var/run/config.md5"
    sums = {}
    for name in router.store.packages():
        path = router.root_path / "etc/config" / name
        sums[name] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if record.exists():
        old = {name: value for value, name in (line.split() for line in record.read_text().splitlines())}
        for name, value in sums.items():
            if old.get(name) != value:
                config_changed(router, name)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text("".join(f"{value}  {name}\n" for name, value in sums.items()))
    return 0


# ------------------------------------------------------------------------------------------------------------- cron
class Crond:
    """busybox crond on /etc/crontabs: reads its tables when it starts and when `cron.update` says so, runs per minute."""

    def __init__(self, router: OpenWrtSimulator) -> None:
        self._router = router
        self._lines: list[tuple[list[str], str]] = []
        self._minute = 0
        self.running = False

    def restart(self) -> None:
        """Read the table; without one the service does not run at all."""
        self.stop()
        path = self._router.root_path / "etc/crontabs/root"
        lines = path.read_text().splitlines() if path.exists() else []
        self._lines = []
        for line in lines:
            words = line.split(None, 5)
            if len(words) == 6 and not line.lstrip().startswith("#"):
                self._lines.append((words[:5], words[5]))
        self.running = True
        self._minute = int(self._router.wall() // 60)
        if self._lines:
            self._router.agenda.at("crond", 1.0, self._tick, 1.0)

    def stop(self) -> None:
        """No more."""
        self._router.agenda.cancel("crond")
        self.running = False

    def _tick(self) -> None:
        now = int(self._router.wall() // 60)
        # A clock that jumped runs no minute twice and catches up an hour at most, as crond does.
        for minute in range(max(self._minute + 1, now - 59), now + 1):
            self._minute = minute
            for fields, command in self._lines:
                if _due(fields, minute):
                    self._router.log("cron.err", "crond[1501]", f"USER root pid {self._router.next_pid()} cmd {command}")
                    self._router.shell(command)


def _due(fields: list[str], minute: int) -> bool:
    days = minute // 1440
    values = (minute % 60, minute // 60 % 24, None, None, (days + 4) % 7)
    return all(value is None or _matches(text, value) for text, value in zip(fields, values, strict=True))


def _matches(text: str, value: int) -> bool:
    for part in text.split(","):
        match = re.fullmatch(r"(\*|\d+)(?:-(\d+))?(?:/(\d+))?", part)
        if match is None:
            return False
        first, last = (0, 59) if match[1] == "*" else (int(match[1]), int(match[2] or match[1]))
        if first <= value <= last and (value - first) % int(match[3] or 1) == 0:
            return True
    return False
