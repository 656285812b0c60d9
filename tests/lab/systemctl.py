"""What `systemctl` and `systemd-run` are on a lab router: enough of systemd 252 to be told apart from it only by trying hard.

Runs as a script with the system's Python and imports nothing else. Units are read from systemd's own folders, kept as
loaded until `daemon-reload`, run with systemd's clean environment and away from the caller's terminal. What it cannot
do it refuses loudly (unknown verbs, unknown service types, calendar expressions), so that no test passes by accident.
Timers run in a process of their own. In place of control groups, what a service leaves behind when its main process has
ended is found by its parent, and killed unless KillMode= says otherwise.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

TRANSIENT = Path("/run/systemd/transient")
FOLDERS = [
    Path(folder) for folder in ("/etc/systemd/system", "/run/systemd/system", TRANSIENT, "/usr/local/lib/systemd/system")
]
VENDOR = [Path(folder) for folder in ("/lib/systemd/system", "/usr/lib/systemd/system")]
STATE = Path("/run/fleet-lab")
LOG = STATE / "journal"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TARGETS = ("sysinit", "basic", "multi-user", "timers", "default", "network-online")
SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600}

Sections = dict[str, list[str]]


class Refused(Exception):
    """An error as systemctl words it, with its exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


# --------------------------------------------------------------------------------------------------------- unit files
def full(name: str) -> str:
    """A unit name with its suffix."""
    return name if re.search(r"\.(service|timer|target|path|socket)$", name) else f"{name}.service"


def template(name: str) -> str:
    """`wg-quick@wg0.service` -> `wg-quick@.service`; other names as they are."""
    return re.sub(r"@[^.]*\.", "@.", name)


def fragment(name: str) -> Path | None:
    """The unit file of this name, its template's if it is an instance; None if there is none."""
    for candidate in dict.fromkeys((name, template(name))):
        for folder in FOLDERS + VENDOR:
            if (folder / candidate).exists() or (folder / candidate).is_symlink():
                return folder / candidate
    return None


def dropins(name: str) -> list[Path]:
    """Drop-in files of this unit in the order of their names."""
    found: dict[str, Path] = {}
    for candidate in dict.fromkeys((template(name), name)):
        for folder in reversed(FOLDERS + VENDOR):
            for path in sorted((folder / f"{candidate}.d").glob("*.conf")):
                found[path.name] = path
    return [found[key] for key in sorted(found)]


def masked(path: Path) -> bool:
    """True for a link to /dev/null."""
    return path.is_symlink() and os.path.realpath(path) == "/dev/null"


def parse(paths: list[Path], name: str) -> Sections:
    """`Section.Key` -> values; an empty assignment clears what came before; specifiers filled in."""
    instance = name.partition("@")[2].rpartition(".")[0]
    specifiers = {"%i": instance, "%I": instance, "%n": name, "%N": name.rpartition(".")[0], "%%": "%"}
    values: Sections = {}
    for path in paths:
        section = ""
        for line in path.read_text().replace("\\\n", " ").splitlines():
            line = line.strip()
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            elif line and line[0] not in "#;" and "=" in line:
                key, _, value = line.partition("=")
                value = re.sub(r"%.", lambda found: specifiers.get(found[0], found[0]), value.strip())
                if value:
                    values.setdefault(f"{section}.{key.strip()}", []).append(value)
                else:
                    values.pop(f"{section}.{key.strip()}", None)
    return values


def load(name: str) -> Sections:
    """The unit as systemd has it: what was loaded first stays until `daemon-reload`, with the warning if files moved on."""
    path = fragment(name)
    loaded = STATE / "loaded" / name
    if path is None:
        raise Refused(f"Unit {name} could not be found.", 5)
    if masked(path):
        raise Refused(f"Unit {name} is masked.")
    fresh = parse([path, *dropins(name)], name)
    if not loaded.exists():
        loaded.parent.mkdir(parents=True, exist_ok=True)
        loaded.write_text(json.dumps(fresh))
    kept: Sections = json.loads(loaded.read_text())
    if kept != fresh:
        say(
            f"Warning: The unit file, source configuration file or drop-ins of {name} changed on disk. "
            "Run 'systemctl daemon-reload' to reload units."
        )
    return kept


def last(unit: Sections, key: str, default: str = "") -> str:
    """The value of a scalar: the last assignment counts."""
    return unit.get(key, [default])[-1]


# ----------------------------------------------------------------------------------------------------------- running
def environment(unit: Sections) -> dict[str, str]:
    """What systemd gives a process, and nothing of the caller's, plus the unit's own."""
    variables = {"PATH": PATH, "LANG": "C.UTF-8"}
    for path in unit.get("Service.EnvironmentFile", []):
        file = Path(path.removeprefix("-"))
        if file.exists():
            assigned = (line.partition("=") for line in file.read_text().splitlines() if "=" in line and line[0] != "#")
            variables |= {key: value.strip("\"'") for key, _, value in assigned}
    for line in unit.get("Service.Environment", []):
        variables |= dict(part.split("=", 1) for part in shlex.split(line))
    return variables


def execute(unit: Sections, key: str, *, apart: bool = True) -> bool:
    """Run all commands of `ExecStart=` or its kin in order; False as soon as one fails that may not.

    `apart`: in a session of their own, not in that of the caller.
    """
    for line in unit.get(f"Service.{key}", []):
        prefix = re.match(r"[-@:+!]*", line)
        flags = prefix[0] if prefix else ""
        with LOG.open("a") as log:
            done = subprocess.run(
                shlex.split(line[len(flags) :]),
                env=environment(unit),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=apart,
                check=False,
            )
        if done.returncode and "-" not in flags:
            return False
    return True


def adopt_orphans() -> None:
    """Become the parent of whatever descendants outlive theirs. Source: prctl(2), PR_SET_CHILD_SUBREAPER."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def kill_leftovers(unit: Sections) -> None:
    """What a finished service left running, by systemd.kill(5): killed, unless only its process was to be."""
    if last(unit, "Service.KillMode", "control-group") != "control-group":
        return
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(int(child), 0)


def state_of(name: str) -> str:
    """active, inactive or failed."""
    file = STATE / "units" / name
    if not file.exists():
        return "inactive"
    state, _, pid = file.read_text().partition(" ")
    if pid and not alive(int(pid)):
        return "inactive"
    return state


def alive(pid: int) -> bool:
    """True for a process that runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def put_state(name: str, state: str, pid: int | None = None) -> None:
    """Remember what became of a unit."""
    file = STATE / "units" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{state} {pid}" if pid else state)


def conditions_hold(unit: Sections) -> bool:
    """ConditionPathExists=, with `!`; a unit whose condition does not hold is skipped without an error."""
    return all(
        Path(path.removeprefix("!")).exists() is not path.startswith("!") for path in unit.get("Unit.ConditionPathExists", [])
    )


def start(name: str) -> None:
    """Start one unit and wait as systemctl waits."""
    try:
        unit = load(name)
    except Refused as error:
        text = f"Unit {name} not found." if error.code == 5 else str(error)
        raise Refused(f"Failed to start {name}: {text}", error.code) from None
    if state_of(name) == "active" or not conditions_hold(unit):
        return
    if name.endswith(".target"):
        put_state(name, "active")
    elif name.endswith(".timer"):
        spawn(name)
    else:
        start_service(name, unit)


def start_service(name: str, unit: Sections) -> None:
    """Start a service by its type. Raises Refused when a command of it fails."""
    kind = last(unit, "Service.Type", "simple")
    if kind not in ("oneshot", "simple", "exec"):
        raise Refused(f"Failed to start {name}: this stand-in cannot run Type={kind}")
    if not execute(unit, "ExecStartPre"):
        fail(name)
    if kind != "oneshot":
        spawn(name)
        return
    adopt_orphans()
    if not execute(unit, "ExecStart") or not execute(unit, "ExecStartPost"):
        fail(name)
    remains = last(unit, "Service.RemainAfterExit") in ("yes", "true", "1")
    if not remains:
        kill_leftovers(unit)
    put_state(name, "active" if remains else "inactive")


def fail(name: str) -> NoReturn:
    """A job that failed, as systemctl tells it."""
    put_state(name, "failed")
    raise Refused(
        f"Job for {name} failed because the control process exited with error code.\n"
        f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.'
    )


def spawn(name: str) -> None:
    """Run a timer or a long-running service in a process of its own."""
    with LOG.open("a") as log:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, "--main-process-of", name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    put_state(name, "active", child.pid)


def main_process(name: str) -> None:
    """What runs behind an active timer or long-running service."""
    unit = load(name)
    if name.endswith(".timer"):
        tick(name, unit)
        forget(name)
        return
    adopt_orphans()
    while True:
        worked = execute(unit, "ExecStart", apart=False)
        kill_leftovers(unit)
        if last(unit, "Service.Restart", "no") not in ("always", "on-failure"):
            put_state(name, "inactive" if worked else "failed")
            if worked:
                forget(name)
            return
        time.sleep(span(last(unit, "Service.RestartSec", "100ms")))


def tick(name: str, unit: Sections) -> None:
    """Fire monotonic timers: the first of OnBootSec, OnActiveSec, OnStartupSec, then OnUnitActiveSec or OnUnitInactiveSec."""
    if "Timer.OnCalendar" in unit:
        sys.exit(f"{name}: this stand-in knows no OnCalendar")
    service = last(unit, "Timer.Unit", name.removesuffix(".timer") + ".service")
    since_boot = time.time() - STATE.stat().st_ctime
    first = [
        max(0.0, span(value) - since_boot) for value in unit.get("Timer.OnBootSec", []) + unit.get("Timer.OnStartupSec", [])
    ]
    first += [span(value) for value in unit.get("Timer.OnActiveSec", [])]
    again = [span(value) for key in ("OnUnitActiveSec", "OnUnitInactiveSec") for value in unit.get(f"Timer.{key}", [])]
    # A timer with OnUnitActiveSec only never elapses, because its unit never was active (systemd.timer(5)).
    if not first:
        return
    time.sleep(min(first))
    while True:
        with contextlib.suppress(Refused):
            start(service)
        if not again:
            return
        time.sleep(min(again))


def span(text: str) -> float:
    """Seconds of a systemd time span: `90`, `30s`, `1min 30s`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    if not parts or any(unit and unit not in SECONDS for _, unit in parts):
        raise Refused(f"this stand-in cannot read the time span {text!r}")
    return sum(float(number) * SECONDS.get(unit, 1) for number, unit in parts)


def stop(name: str) -> None:
    """Stop one unit: its ExecStop, then its main process."""
    if fragment(name) is None:
        raise Refused(f"Failed to stop {name}: Unit {name} not loaded.", 5)
    if state_of(name) != "active":
        return
    unit = load(name)
    _, _, pid = (STATE / "units" / name).read_text().partition(" ")
    worked = execute(unit, "ExecStop")
    if pid and alive(int(pid)):
        os.killpg(int(pid), signal.SIGTERM)
    put_state(name, "inactive" if worked else "failed")
    forget(name)


def forget(name: str) -> None:
    """Unload a transient unit that is over."""
    if not (TRANSIENT / name).exists():
        return
    (TRANSIENT / name).unlink()
    (STATE / "loaded" / name).unlink(missing_ok=True)
    service = name.removesuffix(".timer") + ".service"
    if name.endswith(".timer") and state_of(service) == "inactive":
        forget(service)


def restart(name: str) -> None:
    """Stop, then start."""
    if fragment(name) is not None:
        stop(name)
    start(name)


def reload(name: str) -> None:
    """Run ExecReload of an active unit."""
    if state_of(name) != "active":
        raise Refused(f"{name} is not active, cannot reload.")
    unit = load(name)
    if "Service.ExecReload" not in unit:
        raise Refused(f"Failed to reload {name}: Job type reload is not applicable for unit {name}.")
    if not execute(unit, "ExecReload"):
        raise Refused(f"Job for {name} failed.")


# ------------------------------------------------------------------------------------------------------ what is enabled
def links(name: str) -> list[Path]:
    """Where `enable` links this unit. Raises Refused for what cannot be enabled."""
    path = fragment(name)
    if path is None:
        raise Refused(f"Failed to enable unit: Unit file {name} does not exist.")
    if masked(path):
        raise Refused(f"Failed to enable unit: Unit file {path} is masked.")
    unit = parse([path, *dropins(name)], name)
    wanted = [target for line in unit.get("Install.WantedBy", []) for target in line.split()]
    wanted += [target for line in unit.get("Install.RequiredBy", []) for target in line.split()]
    return [FOLDERS[0] / f"{target}.wants" / name for target in wanted]


def enable(name: str) -> None:
    """Link a unit into the targets that want it."""
    where = links(name)
    if not where:
        say("The unit files have no installation config (WantedBy=, RequiredBy=, Also=, Alias= settings in [Install])")
    for link in where:
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(str(fragment(name)))
            say(f"Created symlink {link} → {fragment(name)}.")


def disable(name: str) -> None:
    """Remove every link to a unit."""
    found = [*FOLDERS[0].glob(f"*.wants/{name}")]
    if not found and fragment(name) is None:
        raise Refused(f"Failed to disable unit: Unit file {name} does not exist.")
    for link in found:
        link.unlink()
        say(f"Removed {link}.")


def is_enabled(name: str) -> str:
    """enabled, disabled, static or masked. Raises Refused for a unit that does not exist."""
    path = fragment(name)
    if path is None:
        raise Refused(f"Failed to get unit file state for {name}: No such file or directory")
    if masked(path):
        return "masked"
    if [*FOLDERS[0].glob(f"*.wants/{name}")]:
        return "enabled"
    return "disabled" if links(name) else "static"


def boot() -> None:
    """Start what is enabled: early units one after another, the others side by side, then timers."""
    jobs = []
    for target in TARGETS:
        for link in sorted((FOLDERS[0] / f"{target}.target.wants").glob("*")):
            command = [sys.executable, "-I", "-S", __file__, "start", link.name]
            with LOG.open("a") as log:
                job = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            if target == "sysinit":
                job.wait()
            jobs.append(job)
    deadline = time.monotonic() + 10
    for job in jobs:
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(max(0.0, deadline - time.monotonic()))


# -------------------------------------------------------------------------------------------------------- systemd-run
def run_transient(arguments: list[str]) -> int:
    """`systemd-run`: a transient service, at once or by a transient timer; both are gone at the next start."""
    name, sections, command = transient(arguments)
    if not command:
        raise Refused("systemd-run: Command line to execute required.")
    sections["Service"].append("ExecStart=" + shlex.join(command).replace("%", "%%"))
    kind = "timer" if sections["Timer"] else "service"
    for unit in dict.fromkeys((f"{name}.{kind}", f"{name}.service")):
        if fragment(unit) is not None or state_of(unit) == "failed":
            raise Refused(f"Failed to start transient {kind} unit: Unit {unit} was already loaded or has a fragment file.")
    TRANSIENT.mkdir(parents=True, exist_ok=True)
    for section in ("Service", "Timer"):
        if sections[section]:
            lines = ["[Unit]", *sections["Unit"], f"[{section}]", *sections[section]]
            (TRANSIENT / f"{name}.{section.lower()}").write_text("\n".join(lines) + "\n")
    start(f"{name}.{kind}")
    return 0


def transient(arguments: list[str]) -> tuple[str, Sections, list[str]]:
    """Unit name, settings by section, and the command of a `systemd-run` command line."""
    name, command = f"run-{os.getpid()}", list(arguments)
    sections: Sections = {"Unit": [], "Service": [], "Timer": []}
    while command and command[0].startswith("-"):
        flag, _, value = command.pop(0).partition("=")
        match flag:
            case "--quiet" | "-q" | "--collect" | "-G" | "--no-block":
                pass
            case "--unit" | "-u":
                name = re.sub(r"\.(service|timer)$", "", value)
            case "--description":
                sections["Unit"].append(f"Description={value}")
            case "--on-active":
                sections["Timer"].append(f"OnActiveSec={value}")
            case "--timer-property":
                sections["Timer"].append(value)
            case "--property":
                sections["Service"].append(value)
            case "--setenv":
                sections["Service"].append(f"Environment={shlex.quote(value)}")
            case _:
                raise Refused(f"systemd-run: unrecognized option '{flag}'")
    return name, sections, command


# -------------------------------------------------------------------------------------------------------- command line
def say(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr)


def show(names: list[str], wanted: list[str], *, bare: bool) -> int:
    """Properties of units, as `systemctl show` prints them."""
    for name in map(full, names):
        path = fragment(name)
        enabled = is_enabled(name) if path else ""
        properties = {
            "Id": name,
            "LoadState": "not-found" if path is None else "masked" if masked(path) else "loaded",
            "ActiveState": state_of(name),
            "SubState": {"active": "running", "failed": "failed"}.get(state_of(name), "dead"),
            "UnitFileState": enabled,
            "FragmentPath": str(path or ""),
        }
        for key in wanted or properties:
            if key in properties:
                print(properties[key] if bare else f"{key}={properties[key]}")
    return 0


def query(verb: str, names: list[str], *, quiet: bool) -> int:
    """`is-active`, `is-failed`, `is-enabled`: prints states, 0 if one is as asked."""
    states = [is_enabled(name) if verb == "is-enabled" else state_of(name) for name in map(full, names)]
    if not quiet:
        print("\n".join(states))
    good = {"is-active": {"active"}, "is-failed": {"failed"}, "is-enabled": {"enabled", "static"}}[verb]
    return 0 if good & set(states) else 3 if verb == "is-active" else 1


def daemon_reload() -> int:
    """Forget what was loaded."""
    for file in (STATE / "loaded").glob("*"):
        file.unlink(missing_ok=True)
    return 0


def reset_failed(names: list[str]) -> int:
    """Forget failures."""
    for name in map(full, names):
        if fragment(name) is None and state_of(name) != "failed":
            raise Refused(f"Failed to reset failed state of unit {name}: Unit {name} not loaded.")
        if state_of(name) == "failed":
            put_state(name, "inactive")
            forget(name)
    return 0


def status(names: list[str]) -> int:
    """A shortened `systemctl status`."""
    for name in map(full, names):
        if fragment(name) is None:
            raise Refused(f"Unit {name} could not be found.", 4)
        print(f"{name}\n     Loaded: loaded ({fragment(name)}; {is_enabled(name)})\n     Active: {state_of(name)}")
    return 0 if all(state_of(full(name)) == "active" for name in names) else 3


EACH = {
    "start": [start],
    "stop": [stop],
    "restart": [restart],
    "reload": [reload],
    "enable": [enable],
    "disable": [disable],
    "reenable": [disable, enable],
    "try-restart": [lambda name: restart(name) if state_of(name) == "active" else None],
    "reload-or-restart": [lambda name: reload(name) if state_of(name) == "active" else start(name)],
}


def act(verb: str, names: list[str], *, now: bool) -> int:
    """Verbs that do something to each unit; goes on after a failure as systemctl does."""
    if not names:
        raise Refused("Too few arguments.")
    code = 0
    for name in map(full, names):
        try:
            for step in EACH[verb]:
                step(name)
            if now and verb in ("enable", "disable"):
                (start if verb == "enable" else stop)(name)
        except Refused as error:
            say(str(error))
            code = error.code
    return code


def main(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    STATE.mkdir(parents=True, exist_ok=True)
    flags = [argument for argument in arguments if argument.startswith("-") and argument != "-p"]
    names: list[str] = []
    wanted: list[str] = []
    rest = iter(argument for argument in arguments if not argument.startswith("-") or argument == "-p")
    for argument in rest:
        if argument == "-p":
            wanted += next(rest).split(",")
        else:
            names.append(argument)
    wanted += [key for flag in flags if flag.startswith("--property=") for key in flag.partition("=")[2].split(",")]
    verb, names = (names[0], names[1:]) if names else ("list-units", [])
    if verb in EACH:
        return act(verb, names, now="--now" in flags)
    if verb in ("is-active", "is-failed", "is-enabled"):
        return query(verb, names, quiet=bool({"-q", "--quiet"} & set(flags)))
    return other(verb, names, flags, wanted)


def other(verb: str, names: list[str], flags: list[str], wanted: list[str]) -> int:
    """Verbs that act on no unit or only tell."""
    match verb:
        case "daemon-reload":
            return daemon_reload()
        case "reset-failed":
            return reset_failed(names)
        case "show":
            return show(names, wanted, bare="--value" in flags)
        case "status":
            return status(names)
        case "cat":
            paths = [path for name in map(full, names) for path in (fragment(name), *dropins(name)) if path]
            print("\n".join(f"# {path}\n{path.read_text()}" for path in paths))
            return 0 if paths else 1
        case "is-system-running":
            print("running")
            return 0
    raise Refused(f"Unknown command verb {verb}.")


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["--main-process-of", unit_name]:
                main_process(unit_name)
            case ["--as-systemd-run", *rest]:
                STATE.mkdir(parents=True, exist_ok=True)
                sys.exit(run_transient(rest))
            case ["--version"]:
                print("systemd 252 (stand-in of the lab)")
            case ["--boot"]:
                STATE.mkdir(parents=True, exist_ok=True)
                boot()
            case arguments:
                sys.exit(main(arguments))
    except Refused as refusal:
        say(str(refusal))
        sys.exit(refusal.code)
