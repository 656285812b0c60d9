"""`start-stop-daemon` and the commands that list processes."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
from pathlib import Path

from ..linux._call import Call, Refused
from ._router import router_of


def start_stop_daemon(call: Call) -> int:
    """-S with -b, -m, -p, -x and -a; -K with -p (busybox)."""
    options, words = _daemon_options(call)
    pidfile = call.path(options["-p"]) if "-p" in options else None
    if "-K" in options:
        return _daemon_stop(call, pidfile, quiet="-q" in options)
    if _runs(call, options, pidfile):
        if "-q" not in options:
            call.out(f"{options.get('-x', '')} is already running")
        return 0 if "-o" in options else 1
    if "-x" not in options and "-a" not in options:
        raise Refused("BusyBox v1.36.1 multi-call binary.\n\nUsage: start-stop-daemon [OPTIONS] [-S|-K] ... [-- ARGS...]")
    argv = [options.get("-a", options.get("-x", "")), *words]
    process = router_of(call).spawn_detached(argv, call.cwd, background="-b" in options)
    if process is None:
        raise Refused(f"start-stop-daemon: can't execute '{argv[0]}': No such file or directory")
    if "-m" in options and pidfile is not None:
        pidfile.parent.mkdir(parents=True, exist_ok=True)
        pidfile.write_text(f"{process.pid}\n")
    if "-b" not in options:
        with call.host.unlocked():
            return process.wait()
    return 0


def _runs(call: Call, options: dict[str, str], pidfile: Path | None) -> bool:
    """By its process number; without one, by any process that was started under this very path: `-x /bin/sh` finds others."""
    if pidfile is not None:
        return pidfile.exists() and _alive(pidfile)
    return any(argv[0] == options.get("-x") for _, argv in router_of(call).processes())


def _daemon_options(call: Call) -> tuple[dict[str, str], list[str]]:
    options, words = dict[str, str](), list(call.argv)
    while words:
        word = words.pop(0)
        if word == "--":
            return options, words
        if word in {"-x", "-a", "-p", "-n", "-u", "-s", "-c", "-d", "-N"}:
            options[word] = words.pop(0) if words else ""
        elif word.startswith("-"):
            for letter in word[1:]:
                if letter not in "SKbmqotTv":
                    raise Refused(f"start-stop-daemon: invalid option -- '{letter}'")
                options[f"-{letter}"] = ""
        else:
            return options, [word, *words]
    return options, words


def _daemon_stop(call: Call, pidfile: Path | None, *, quiet: bool) -> int:
    if pidfile is None or not pidfile.exists() or not _alive(pidfile):
        if not quiet:
            call.out(f"no {pidfile.name if pidfile else ''} found; none killed")
        return 1
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
    return 0


def _alive(pidfile: Path) -> bool:
    text = pidfile.read_text().strip()
    return text.isdigit() and Path(f"/proc/{text}").exists()


def pgrep(call: Call) -> int:
    """Processes of this router by name, -f by command line."""
    words = [word for word in call.argv if not word.startswith("-")]
    pattern = re.compile(words[0] if words else ".")
    whole = any(word.startswith("-") and "f" in word for word in call.argv)
    found = [pid for pid, argv in router_of(call).processes() if pattern.search(shlex.join(argv) if whole else argv[0])]
    for pid in found:
        call.out(str(pid))
    return 0 if found else 1


def pidof(call: Call) -> int:
    """Process numbers of a command's name."""
    daemons = {"netifd": "network", "rpcd": "rpcd", "crond": "cron", "dropbear": "dropbear"}
    router = router_of(call)
    found = [str(1000 + number) for number, (name, service) in enumerate(daemons.items())
             if name in call.argv and router.services.get(service)]  # fmt: skip
    found += [str(pid) for pid, argv in router.processes() if argv[0].rpartition("/")[2] in call.argv]
    if not found:
        return 1
    call.out(" ".join(found))
    return 0


def ps(call: Call) -> int:
    """Of busybox: ps: everything, `w` for wide."""
    call.out("  PID USER       VSZ STAT COMMAND")
    for pid, argv in router_of(call).processes():
        call.out(f"{pid:>5} root      1324 S    {' '.join(argv)}")
    return 0
