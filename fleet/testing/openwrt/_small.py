"""Commands of OpenWrt's base image that are too small for a module of their own (sheet 3.1, 6, 7)."""

from __future__ import annotations

import re
import time

from ..linux import _small as linux
from ..linux._call import Call, Refused
from . import _json
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
