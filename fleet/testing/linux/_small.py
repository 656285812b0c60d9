"""Stand-ins that are too small for a module of their own."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from typing import Final

from ._call import Call, Refused, Replace


def sysctl(call: Call) -> int:
    """Read, write and load kernel settings (procps 4.0)."""
    flags, words, loads, code = set(), [], [], 0
    arguments = list(call.argv)
    while arguments:
        word = arguments.pop(0)
        if word in {"-p", "--load", "-f"} or word.startswith(("-p", "--load=")):
            loads.append(word.partition("=")[2] or (arguments.pop(0) if arguments else "/etc/sysctl.conf"))
        elif word == "--system":
            loads += [f"/etc/sysctl.d/{path.name}" for path in sorted((call.host.root_path / "etc/sysctl.d").glob("*.conf"))]
        elif word.startswith("-"):
            flags |= {
                {"--values": "n", "--quiet": "q", "--write": "w", "--ignore": "e", "--all": "a"}.get(word, word.strip("-"))
            }
        else:
            words.append(word)
    letters = "".join(flags)
    if "a" in letters:
        for name, value in sorted(call.host.kernel.sysctls.items()):
            call.out(f"{name} = {value}")
        return 0
    for name in loads:
        code = _load(call, name, letters) or code
    if not words and not loads:
        raise Refused("sysctl: no variables specified\nTry `sysctl --help' for more information." if "w" in letters
                      else "\nUsage:\n sysctl [options] [variable[=value] ...]")  # fmt: skip
    for word in words:
        code = _sysctl_one(call, word, letters) or code
    return code


def _sysctl_one(call: Call, word: str, letters: str) -> int:
    call.host.read_switches()
    name, equals, value = (part.strip() for part in word.partition("="))
    name, sysctls = name.replace("/", "."), call.host.kernel.sysctls
    if name not in sysctls:
        if "e" not in letters:
            call.err(f"sysctl: cannot stat /proc/sys/{name.replace('.', '/')}: No such file or directory")
        return 0 if "e" in letters else 1
    if equals:
        if call.uid != 0:
            call.err(f'sysctl: permission denied on key "{name}"')
            return 1
        if not name.startswith("kernel.") and not value.lstrip("-").isdigit():
            call.err(f'sysctl: setting key "{name}": Invalid argument')
            return 1
        sysctls[name] = value
        call.host.sysctl_changed(name)
        if "q" in letters:
            return 0
    call.out(sysctls[name] if "n" in letters else f"{name} = {sysctls[name]}")
    return 0


def _load(call: Call, name: str, letters: str) -> int:
    try:
        text = call.read(name).decode("utf-8", "replace")
    except OSError as error:
        call.err(f'sysctl: cannot open "{name}": {error.strerror}')
        return 1
    code, wanted = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if "=" in line:
            wanted.append(line)
        else:
            call.err(f"sysctl: {name}({number}): invalid syntax, continuing...")
    for line in wanted:
        code = _sysctl_one(call, line.lstrip("-"), letters) or code
    return code


_PING_VALUES: Final = frozenset({"-c", "-W", "-i", "-s", "-I", "-M", "-w", "-t", "-p", "-Q"})


def ping(call: Call) -> int:
    """Iputils ping: every packet goes through the ether."""
    options, target, words = {"-c": "3", "-s": "56", "-i": "1"}, "", list(call.argv)
    quiet = False
    while words:
        word = words.pop(0)
        if word in _PING_VALUES:
            options[word] = words.pop(0) if words else ""
        elif word.startswith("-"):
            quiet = quiet or "q" in word
        else:
            target = word
    if not target:
        raise Refused("ping: usage error: Destination address required", 1)
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        resolved = call.host.resolve(target)
        if resolved is None:
            raise Refused(f"ping: {target}: Name or service not known", 2) from None
        address = ipaddress.ip_address(resolved)
    return _ping(call, options, target, address, quiet=quiet)


def _ping(call: Call, options: dict[str, str], target: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, *,
          quiet: bool) -> int:  # fmt: skip
    kernel, source, bound = call.host.kernel, None, options.get("-I", "")
    if bound in kernel.devices:
        of_device = [one.ip for one in kernel.devices[bound].addresses if one.version == address.version]
        source = str(of_device[0]) if of_device else None
    elif bound:
        source = bound
        if kernel.owner(ipaddress.ip_address(bound)) is None:
            raise Refused("ping: bind: Cannot assign requested address", 2)
    route = kernel.lookup(address)
    if route is None and kernel.owner(address) is None:
        raise Refused("ping: connect: Network is unreachable", 2)
    size, count = int(options["-s"]), int(options["-c"])
    shown = f" from {source} {bound if bound in kernel.devices else ''}:" if source else ""
    call.out(f"PING {target} ({address}){shown} {size}({size + 28}) bytes of data.")
    device = kernel.devices.get(route.device or "") if route else None
    too_long = options.get("-M") == "do" and device is not None and size + 28 > device.mtu
    received = 0 if too_long else sum(call.host.pings(source, str(address)) for _ in range(count))
    if too_long and device is not None:
        call.err(f"ping: local error: message too long, mtu={device.mtu}")
    for number in range(received):
        if not quiet:
            call.out(f"{size + 8} bytes from {address}: icmp_seq={number + 1} ttl=64 time=0.400 ms")
    loss = round(100 * (count - received) / count)
    errors = f" +{count} errors," if too_long else ""
    call.out(f"\n--- {target} ping statistics ---")
    call.out(f"{count} packets transmitted, {received} received,{errors} {loss}% packet loss, time {(count - 1) * 1000}ms")
    call.out("rtt min/avg/max/mdev = 0.400/0.400/0.400/0.000 ms" if received else "")
    return 0 if received else 1


def sudo(call: Call) -> int:
    """Allowed without a password, or not at all: nobody types one here."""
    words, listing = list(call.argv), False
    while words and words[0].startswith("-") and words[0] != "--":
        word = words.pop(0)
        if word in {"-u", "-g", "-p", "-C", "-U"} and words:
            words.pop(0)
        listing = listing or word == "-l"
    words = words[1:] if words[:1] == ["--"] else words
    if not call.host.sudo and call.uid != 0:
        raise Refused("sudo: a password is required")
    if listing or not words:
        return 0
    while words and "=" in words[0]:
        words.pop(0)
    command = call.host.which(words[0])
    if command is None:
        raise Refused(f"sudo: {words[0]}: command not found")
    raise Replace([str(command), *words], 0)


def ident(call: Call) -> int:
    """Id -u, -un, -g, or all of it."""
    name = "root" if call.uid == 0 else call.host.username
    words = set(call.argv)
    if words & {"-u", "-g", "-G"} and not words & {"-n", "-un"}:
        call.out(str(call.uid))
    elif words & {"-un", "-n", "-gn"}:
        call.out(name)
    else:
        call.out(f"uid={call.uid}({name}) gid={call.uid}({name}) groups={call.uid}({name})")
    return 0


def date(call: Call) -> int:
    """GNU date for reading the host's clock: +FORMAT, -u, -d @SECONDS."""
    words, when, utc, form = list(call.argv), call.host.wall(), False, "%a %b %e %H:%M:%S %Z %Y"
    while words:
        word = words.pop(0)
        if word in {"-u", "--utc"}:
            utc = True
        elif word in {"-d", "--date"}:
            text = words.pop(0) if words else ""
            if not text.startswith("@"):
                raise Refused(f"date: invalid date '{text}'")
            when = float(text[1:])
        elif word.startswith("+"):
            form = word[1:]
        else:
            raise Refused(f"date: invalid date '{word}'")
    form = form.replace("%s", str(int(when))).replace("%N", f"{int(when % 1 * 1e9):09d}")
    call.out(time.strftime(form, time.gmtime(when) if utc else time.localtime(when)))
    return 0


def sleep(call: Call) -> int:
    """Until the host's clock, virtual or not, has moved on that far."""
    units = {"s": 1, "m": 60, "h": 3600}
    total = 0.0
    for word in call.argv:
        number, unit = (word[:-1], units[word[-1]]) if word[-1:] in units else (word, 1)
        try:
            total += float(number) * unit
        except ValueError:
            raise Refused(f"sleep: invalid time interval '{word}'\nTry 'sleep --help' for more information.") from None
    if not call.argv:
        raise Refused("sleep: missing operand\nTry 'sleep --help' for more information.")
    return 0 if call.host.wait(total) else 143


def crontab(call: Call) -> int:
    """-l, -r, or a new table from a file or standard input."""
    path = call.host.root_path / "var/spool/cron/crontabs" / ("root" if call.uid == 0 else call.host.username)
    words = [word for word in call.argv if word not in {"-u", "root"}]
    if words == ["-l"]:
        if not path.exists():
            raise Refused("no crontab for root")
        call.out(path.read_text(), end="")
    elif words == ["-r"]:
        path.unlink(missing_ok=True)
    elif len(words) == 1:
        try:
            text = call.read(words[0])
        except OSError as error:
            raise Refused(f"{words[0]}: {error.strerror}") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        path.chmod(0o600)
    else:
        raise Refused("crontab: usage error: file name or - (for stdin) must be specified")
    return 0


def resolvconf(call: Call) -> int:
    """What wg-quick asks of it: remember name servers of an interface."""
    path = call.host.root_path / "run/resolvconf" / (call.argv[1] if len(call.argv) > 1 else "")
    if call.argv[:1] == ["-a"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(call.stdin())
    elif call.argv[:1] == ["-d"]:
        path.unlink(missing_ok=True)
    return 0


def wireguard_go(call: Call) -> int:
    """The userspace implementation: a device without a kernel module."""
    name = call.argv[-1] if call.argv else ""
    if not name or name.startswith("-"):
        raise Refused("Usage: wireguard-go [-f/--foreground] INTERFACE-NAME")
    call.need_root(f"ERROR: ({name}) Failed to create TUN device: operation not permitted")
    if name in call.host.kernel.devices:
        raise Refused(f"ERROR: ({name}) Failed to create TUN device: device or resource busy")
    call.host.kernel.add_device(name, "wireguard")
    return 0


def modprobe(call: Call) -> int:
    """Loads wireguard where the kernel has it."""
    name = next((word for word in call.argv if not word.startswith("-")), "")
    if name == "wireguard" and not call.host.kernel.wireguard_module:
        raise Refused(f"modprobe: FATAL: Module {name} not found in directory /lib/modules/6.1.0-26-amd64")
    return 0


def logger(call: Call) -> int:
    """Into the host's own log."""
    with contextlib.suppress(OSError):
        log = call.host.root_path / "var/log/syslog"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(" ".join(call.argv) + "\n")
    return 0


def uname(call: Call) -> int:
    """A Debian 12 kernel, whatever runs the tests."""
    words = {"-r": "6.1.0-26-amd64", "-s": "Linux", "-m": "x86_64", "-n": call.host.name}
    call.out(" ".join(words.get(word, "") for word in call.argv) if call.argv else "Linux")
    return 0


def reboot(call: Call) -> int:
    """Asks the simulator to restart once this command is over."""
    call.need_root("Failed to set wall message, ignoring: Interactive authentication required.")
    call.host.reboot_soon()
    return 0
