"""Commands of OpenWrt's base image that are too small for a module of their own (sheet 3.1, 6, 7)."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path
from typing import Final

from ..linux import _small as linux
from ..linux._call import Call, Refused, Replace
from . import _json
from ._flash import on_flash
from ._router import router_of


def logread(call: Call) -> int:
    """The ring buffer; `-e` filters, `-l` counts from the end."""
    lines, words = list(router_of(call).syslog), list(call.argv)
    while words:
        word = words.pop(0)
        if word == "-e" and words:
            pattern = re.compile(words.pop(0))
            lines = [line for line in lines if pattern.search(line)]
        elif word == "-l" and words:
            lines = lines[-int(words.pop(0)) :]
        else:
            raise Refused(f"logread: unrecognized option: {word.lstrip('-')}")
    for line in lines:
        call.out(line)
    return 0


def logger(call: Call) -> int:
    """-t TAG, -p FACILITY.LEVEL, -s."""
    tag, priority, words, loud = "root", "user.notice", list(call.argv), False
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "-t" and words:
            tag = words.pop(0)
        elif word == "-p" and words:
            priority = words.pop(0)
        elif word == "-s":
            loud = True
        elif word == "--":
            break
    text = " ".join(words) if words else call.stdin().decode(errors="replace").rstrip("\n")
    router_of(call).log(priority, tag, text)
    if loud:
        call.err(f"{tag}: {text}")
    return 0


def sleep(call: Call) -> int:
    """Whole seconds only: the default busybox has no fancy sleep (capture 6)."""
    if not call.argv:
        raise Refused("BusyBox v1.36.1 multi-call binary.\n\nUsage: sleep [N]...")
    for word in call.argv:
        if not re.fullmatch(r"\d+[smhd]?", word):
            raise Refused(f"sleep: invalid number '{word}'")
    scale = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    total = sum(int(word.rstrip("smhd")) * scale.get(word[-1], 1) for word in call.argv)
    return 0 if call.host.wait(total) else 143


_PING_VALUES: Final = frozenset({"-c", "-s", "-i", "-A", "-t", "-w", "-W", "-I", "-p"})


def ping(call: Call) -> int:
    """Of busybox: ping: -4 -6 -c -s -I -W -w -q -i -t; its words (capture 4a)."""
    options, target, words = {"-c": "3", "-s": "56"}, "", list(call.argv)
    while words:
        word = words.pop(0)
        if word[:2] in _PING_VALUES and word[:2] != "-A":
            options[word[:2]] = word[2:] or (words.pop(0) if words else "")
        elif word.startswith("-"):
            if set(word[1:]) - set("q46A"):
                raise Refused(f"ping: invalid option -- '{word[1]}'")
            options[word] = ""
        else:
            target = word
    if not target:
        raise Refused("BusyBox v1.36.1 multi-call binary.\n\nUsage: ping [OPTIONS] HOST")
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        resolved = call.host.resolve(target)
        if resolved is None:
            raise Refused(f"ping: bad address '{target}'") from None
        address = ipaddress.ip_address(resolved)
    return _ping(call, options, target, address)


def _ping(call: Call, options: dict[str, str], target: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    kernel, source, bound = call.host.kernel, None, options.get("-I", "")
    if bound in kernel.devices:
        mine = [one.ip for one in kernel.devices[bound].addresses if one.version == address.version]
        source = str(mine[0]) if mine else None
    elif bound:
        try:
            source = str(ipaddress.ip_address(bound))
        except ValueError:
            raise Refused(f"ping: bad address '{bound}'") from None
        if kernel.owner(ipaddress.ip_address(bound)) is None:
            raise Refused("ping: bind: Address not available")
    size, count = int(options["-s"]), int(options["-c"])
    call.out(f"PING {target} ({address}): {size} data bytes")
    route = kernel.lookup(address)
    if route is None and kernel.owner(address) is None:
        raise Refused("ping: sendto: Network unreachable")
    received = sum(call.host.pings(source, str(address)) for _ in range(count))
    if "-q" not in options:
        for number in range(received):
            call.out(f"{size + 8} bytes from {address}: seq={number} ttl=64 time=0.887 ms")
    loss = round(100 * (count - received) / count) if count else 0
    call.out(f"\n--- {target} ping statistics ---")
    call.out(f"{count} packets transmitted, {received} packets received, {loss}% packet loss")
    if received:
        call.out("round-trip min/avg/max = 0.887/0.887/0.887 ms")
    return 0 if received else 1


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


def jsonfilter(call: Call) -> int:
    """`-e EXPRESSION` (repeated; NAME=EXPRESSION for eval), `-s STRING`, `-i FILE`, `-t` type only."""
    words, text, expressions, types = list(call.argv), None, list[str](), False
    while words:
        word = words.pop(0)
        if word in {"-e", "-s", "-i"} and words:
            value = words.pop(0)
            if word == "-e":
                expressions.append(value)
            else:
                text = value if word == "-s" else call.read(value).decode(errors="replace")
        elif word == "-q":
            continue
        elif word == "-t":
            types = True
        else:
            raise Refused('Usage: jsonfilter [-a] [-i <file> | -s "json..."] {-t <pattern> | -e <pattern>}')
    if text is None:
        if not router_of(call).jsonfilter_reads_stdin:  # jsonpath e5a07f4, 2026-02 (sheet 6)
            raise Refused("No input given")
        text = call.stdin().decode(errors="replace")
    return _json.filtered(call, text, expressions, types)


def lock(call: Call) -> int:
    """`lock FILE`, `-u` unlocks, `-n` does not wait: by one file per lock."""
    words = list(call.argv)
    flags = {word for word in words if word.startswith("-")}
    paths = [call.path(word) for word in words if not word.startswith("-")]
    if not paths:
        raise Refused("Usage: lock [-suw] <filename>")
    if "-u" in flags:
        paths[0].unlink(missing_ok=True)
        return 0
    deadline = time.monotonic() + 30
    while paths[0].exists():
        if "-n" in flags or time.monotonic() > deadline:
            return 1
        with call.host.unlocked():
            time.sleep(0.02)
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    paths[0].touch()
    return 0


def reboot(call: Call) -> int:
    """Restart once this command is over."""
    call.host.reboot_soon()
    return 0


def crontab(call: Call) -> int:
    """-l, -r, or a new table from a file or standard input, in /etc/crontabs."""
    path = call.host.root_path / "etc/crontabs/root"
    words = [word for word in call.argv if word not in {"-u", "root", "-c"}]
    if words == ["-l"]:
        if not path.exists():
            raise Refused("crontab: can't open 'root': No such file or directory")
        call.out(path.read_text(), end="")
    elif words == ["-r"]:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(call.read(words[0] if words else "-"))
        path.chmod(0o600)
    if router_of(call).cron.running:  # it leaves a note for crond, which an edit of the file by hand does not
        router_of(call).cron.restart()
    return 0


def sysctl(call: Call) -> int:
    """Of busybox: sysctl: -n -e -w -q -a, names and values."""
    for word in call.argv:
        if word.startswith("--"):
            raise Refused(f"sysctl: unrecognized option '{word}'")
    return linux.sysctl(call)


def uname(call: Call) -> int:
    """The kernel of the release."""
    router = router_of(call)
    words = {"-r": router.kernel_release, "-s": "Linux", "-m": router.machine, "-n": router.hostname}
    call.out(" ".join(words.get(word, "") for word in call.argv) if call.argv else "Linux")
    return 0


def hostname(call: Call) -> int:
    """The name, read only."""
    call.out(router_of(call).hostname)
    return 0


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


def df(call: Call) -> int:
    """Free space of the overlay and of /tmp."""
    router = router_of(call)
    free = 0 if router.flash_full else router.flash_free
    call.out("Filesystem           1K-blocks      Used Available Use% Mounted on")
    rows = (("/dev/mtdblock6", 9984, 9984 - free, free, "/overlay"), ("overlayfs:/overlay", 9984, 9984 - free, free, "/"),
            ("tmpfs", 61472, 672, 60800, "/tmp"))  # fmt: skip
    for name, size, used, left, where in rows:
        call.out(f"{name:<20} {size:>9} {used:>9} {left:>9} {round(100 * used / size):>3}% {where}")
    return 0


def ps(call: Call) -> int:
    """Of busybox: ps: everything, `w` for wide."""
    call.out("  PID USER       VSZ STAT COMMAND")
    for pid, argv in router_of(call).processes():
        call.out(f"{pid:>5} root      1324 S    {' '.join(argv)}")
    return 0


_MAKES_ROOM: Final = frozenset({"rm", "rmdir", "chmod", "mv"})


def writer(call: Call) -> int:
    """An applet that writes files, while the flash takes nothing: what it was to write there fails, the rest is real.

    A full flash still lets names be changed and removed. A redirection of the shell's own (`printf > file`) is not seen.
    """
    router = router_of(call)
    fault = router.flash_fault()
    root, words = router.root_path, [word for word in call.argv if not word.startswith("-")]
    targets = words if call.name not in {"cp", "mv", "ln"} else words[-1:] if call.name != "mv" else words
    if call.name in {"cat", "sed"} and "-i" not in call.argv:
        targets = []
    hit = next((word for word in targets if on_flash(root, str(call.path(word)))), None)
    out = os.readlink(f"/proc/self/fd/{call.fds[1]}")
    if hit is None and on_flash(root, out):
        raise Refused(f"{call.name}: write error: {fault}")
    if hit is not None and (router.flash_read_only or call.name not in _MAKES_ROOM):
        verb = "can't remove" if call.name.startswith("rm") else "can't create"
        raise Refused(f"{call.name}: {verb} '{hit}': {fault}")
    real = shutil.which("busybox") or shutil.which(call.name) or call.name
    raise Replace([real, call.name, *call.argv], call.uid)
