"""Who runs a stand-in: user, primary group, shell. And the small commands that are about users and the system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..linux._call import Call, Refused, Replace

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator

IN_GROUP: Final = 100_000
"""Added to the user number of processes whose primary group is vyattacfg."""

GROUP: Final = "vyattacfg"


@dataclass(frozen=True)
class User:
    """An account: `level` admin or operator, `member` of the group vyattacfg, `sudo` without a password."""

    name: str
    uid: int
    level: str = "admin"
    member: bool = True
    sudo: bool = True


class EdgeCall(Call):
    """A stand-in's call on an EdgeRouter. `in_group`: its primary group is vyattacfg. `interrupted`: by Ctrl-C."""

    in_group: bool = False
    interrupted: bool = False

    @property
    def edge(self) -> EdgeOsSimulator:
        """The router."""
        found = self.host
        from .simulator import EdgeOsSimulator

        assert isinstance(found, EdgeOsSimulator)
        return found

    def read(self, text: str) -> bytes:
        """Content of a file argument; /dev/null is nobody's own."""
        return b"" if text == "/dev/null" else super().read(text)

    @property
    def number(self) -> int:
        """User and group as FLEET_SIM_UID carries them to the processes below."""
        return self.uid + (IN_GROUP if self.in_group else 0)

    @property
    def user(self) -> User:
        """Who runs it."""
        return self.edge.user_of(self.uid)

    def parent(self) -> tuple[int, dict[str, str]]:
        """The process that called, and its environment; 0 when it is not known."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
            ppid = int(stat.rpartition(")")[2].split()[1])
            return ppid, _environment(ppid)
        except (OSError, ValueError):
            return 0, {}

    def session_id(self) -> str:
        """`$PPID` of the wrapper, or what CMD_WRAPPER_SESSION_ID says (sheet 2.4).

        A wrapper straight below `sudo` or `sg` has that one as its parent, a new one each time: no session spans them.
        """
        given = _environment(self.pid).get("CMD_WRAPPER_SESSION_ID")
        if given:
            return given
        ppid, environment = self.parent()
        if str(self.pid) in self.edge.backend.sessions:
            return str(self.pid)  # the shell became its last command
        if environment.get("FLEET_SIM_UID") not in {None, str(self.number)}:
            return f"{self.pid}-alone"
        return str(ppid)

    def alive(self) -> bool:
        """False once the process that asked is gone."""
        return not self.interrupted and (self.pid == 0 or Path(f"/proc/{self.pid}").exists())


def _environment(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (part.decode("utf-8", "replace").partition("=") for part in raw.split(b"\0") if part)
    return {name: value for name, _, value in pairs}


def edge(call: Call) -> EdgeCall:
    """The call as one on an EdgeRouter."""
    assert isinstance(call, EdgeCall)
    return call


# -------------------------------------------------------------------------------------------------- users and groups
def sg(call: Call) -> int:
    """`sg GROUP -c COMMAND`: the command with another primary group, for members and root."""
    words = [word for word in call.argv if word not in {"-", "-l"}]
    if not words:
        raise Refused("Usage: sg group [[-c] command]", 1)
    group, rest = words[0], words[1:]
    user = edge(call).user
    if group != GROUP:
        raise Refused(f"sg: group '{group}' does not exist", 1)
    if not (user.member or user.uid == 0):
        raise Refused("Invalid password.", 1)
    rest = rest[1:] if rest[:1] == ["-c"] else rest
    shell = str(call.host.root_path / "bin" / "vbash")
    argv = [shell, "vbash", "-c", rest[0]] if rest else [shell, "vbash"]
    raise Replace(argv, user.uid + IN_GROUP)


def sudo(call: Call) -> int:
    """Without a password for admins, not at all for operators."""
    words, listing, target = list(call.argv), False, 0
    while words and words[0].startswith("-") and words[0] != "--":
        word = words.pop(0)
        if word in {"-u", "-p", "-C", "-U"} and words:
            name = words.pop(0)
            target = edge(call).edge.uid_of(name) if word == "-u" else target
        elif word == "-g" and words and words.pop(0) == GROUP:
            target += IN_GROUP
        listing = listing or word == "-l"
    words = words[1:] if words[:1] == ["--"] else words
    user = edge(call).user
    if not (user.sudo or user.uid == 0):
        raise Refused("sudo: a password is required")
    if listing or not words:
        return 0
    while words and "=" in words[0]:
        words.pop(0)
    command = call.host.which(words[0])
    if command is None:
        raise Refused(f"sudo: {words[0]}: command not found")
    raise Replace([str(command), *words], target)


def ident(call: Call) -> int:
    """Who am I: -u, -g, -G, with -n names."""
    me = edge(call)
    user, words = me.user, set(call.argv)
    primary = GROUP if me.in_group else "root" if user.uid == 0 else "users"
    number = {"root": 0, "users": 100, GROUP: 102}
    groups = [primary, *([GROUP] if user.member and primary != GROUP else []), *(["sudo"] if user.sudo and user.uid else [])]
    if words & {"-u"} and not words & {"-n"}:
        call.out(str(user.uid))
    elif words & {"-un"} or words >= {"-u", "-n"}:
        call.out(user.name)
    elif words & {"-gn"} or words >= {"-g", "-n"}:
        call.out(primary)
    elif "-g" in words:
        call.out(str(number[primary]))
    elif words & {"-Gn", "-nG"} or words >= {"-G", "-n"}:
        call.out(" ".join(groups))
    elif "-G" in words:
        call.out(" ".join(str(number.get(name, 27)) for name in groups))
    else:
        listed = ",".join(f"{number.get(name, 27)}({name})" for name in groups)
        call.out(f"uid={user.uid}({user.name}) gid={number[primary]}({primary}) groups={listed}")
    return 0


def uname(call: Call) -> int:
    """The kernel of this firmware."""
    release, machine = call.host.kernel.sysctls["kernel.osrelease"], edge(call).edge.machine
    words = {"-r": release, "-s": "Linux", "-m": machine, "-n": call.host.name}
    line = f"Linux {call.host.name} {release} #1 SMP Thu Jun 15 11:34:36 UTC 2023 {machine} GNU/Linux"
    call.out(line if "-a" in call.argv else " ".join(words.get(word, "") for word in call.argv) or "Linux")
    return 0


def dpkg_query(call: Call) -> int:
    """`dpkg-query -W -f=FORMAT PACKAGE`, and `dpkg -s`."""
    names = [word for word in call.argv if not word.startswith("-")]
    form = next((word.partition("=")[2] for word in call.argv if word.startswith(("-f=", "--showformat="))), "")
    form = form or "${Package}\\t${Version}\\n"
    version = edge(call).edge.package_version
    for name in names:
        if name != "wireguard" or version is None:
            call.err(f"dpkg-query: no packages found matching {name}")
            return 1
        fields = {"${Version}": version, "${Package}": name, "${Status}": "install ok installed", "${Architecture}": "mips",
                  "${db:Status-Status}": "installed"}  # fmt: skip
        for field, value in fields.items():
            form = form.replace(field, value)
        call.out(form.replace("\\n", "\n").replace("\\t", "\t"), end="")
    return 0
