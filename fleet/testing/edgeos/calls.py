"""Who runs a stand-in: user, primary group, shell. And the small commands that are about users, groups and time."""

from __future__ import annotations

import os
import shutil
import stat as modes
import time
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


# -------------------------------------------------------------------------------------------------------------- files
class Owners:
    """Who owns a file. The simulator cannot ask the real file system, where everything belongs to whoever runs it."""

    def __init__(self, root: Path, login: str) -> None:
        self._root = root
        self._login = login
        self._known: dict[int, tuple[str, str]] = {}

    def of(self, path: Path) -> tuple[str, str]:
        """Owner and group. What a script made belongs to the login; /config hands its group down (it is setgid)."""
        try:
            inode = path.stat().st_ino
        except OSError:
            return self._login, "users"
        if inode in self._known:
            return self._known[inode]
        try:
            inside = path.relative_to(self._root).parts
        except ValueError:
            inside = ()
        if inside[:1] == ("config",):
            return ("root" if path.is_dir() else self._login), GROUP
        return (self._login, "users") if inside[:1] in {("tmp",), ("home",), ("run",)} else ("root", "root")

    def set(self, path: Path, owner: str | None = None, group: str | None = None) -> None:
        """As chown and chgrp do."""
        old = self.of(path)
        self._known[path.stat().st_ino] = (owner or old[0], group or old[1])

    def readable(self, path: Path, user: User) -> bool:
        """True if this user may read the file."""
        if user.uid == 0:
            return True
        mode = path.stat().st_mode
        owner, group = self.of(path)
        if owner == user.name:
            return bool(mode & modes.S_IRUSR)
        if group == "users" or (group == GROUP and user.member):
            return bool(mode & modes.S_IRGRP)
        return bool(mode & modes.S_IROTH)


def chown(call: Call) -> int:
    """`chown OWNER[:GROUP]` and `chgrp GROUP`."""
    words = [word for word in call.argv if not word.startswith("-")]
    if len(words) < 2:
        raise Refused(f"{call.name}: missing operand\nTry '{call.name} --help' for more information.")
    who, me = words[0], edge(call)
    owner, _, group = ("", "", who) if call.name == "chgrp" else who.replace(".", ":").partition(":")
    for word in words[1:]:
        path = call.path(word)
        if not path.exists():
            raise Refused(f"{call.name}: cannot access '{word}': No such file or directory")
        mine = me.edge.owners.of(path)[0] == me.user.name
        if me.user.uid != 0 and (owner not in {"", me.user.name} or not mine or (group == GROUP and not me.user.member)):
            what = "group" if call.name == "chgrp" else "ownership"
            raise Refused(f"{call.name}: changing {what} of '{word}': Operation not permitted")
        for one in [path, *path.rglob("*")] if {"-R", "--recursive"} & set(call.argv) else [path]:
            me.edge.owners.set(one, owner or None, group or None)
    return 0


def install(call: Call) -> int:
    """`install -d`, or of one file: with owner, group and mode."""
    words, names, options = list(call.argv), list[str](), {"-m": "0755"}
    while words:
        word = words.pop(0)
        if word in {"-m", "-o", "-g"}:
            options[word] = words.pop(0) if words else ""
        elif word.startswith(("-m", "-o", "-g")) and len(word) > 2:
            options[word[:2]] = word[2:]
        elif word.startswith("-"):
            options[word] = ""
        else:
            names.append(word)
    me = edge(call)
    broken = me.edge.failing_writes
    if broken is not None and names and call.path(names[-1]).is_relative_to(call.host.root_path / "config"):
        raise Refused(f"install: cannot create '{names[-1]}': {os.strerror(broken)}")
    if {"-o", "-g"} & options.keys() and me.user.uid != 0 and (options.get("-g", GROUP) != GROUP or not me.user.member):
        raise Refused(f"install: cannot change ownership of '{names[-1] if names else ''}': Operation not permitted")
    made: list[Path] = []
    if "-d" in options:
        for name in names:
            call.path(name).mkdir(parents=True, exist_ok=True)
            made.append(call.path(name))
    elif len(names) == 2:
        target = call.path(names[1])
        target = target / Path(names[0]).name if target.is_dir() else target
        target.unlink(missing_ok=True)
        content = call.read(names[0])
        target.write_bytes(content)
        made.append(target)
    else:
        raise Refused("install: missing file operand")
    for path in made:
        path.chmod(int(options["-m"], 8) if options["-m"].isdigit() else 0o755)
        me.edge.owners.set(path, options.get("-o") or ("root" if me.user.uid == 0 else me.user.name), options.get("-g"))
    return 0


def stat(call: Call) -> int:
    """`stat -c FORMAT`."""
    words, form, names = list(call.argv), "", list[str]()
    while words:
        word = words.pop(0)
        if word in {"-c", "--format"}:
            form = words.pop(0) if words else ""
        elif word.startswith(("-c", "--format=")):
            form = word.partition("=")[2] if word.startswith("--") else word[2:]
        elif not word.startswith("-"):
            names.append(word)
    code = 0
    for name in names:
        path = call.path(name)
        if not path.exists():
            call.err(f"stat: cannot stat '{name}': No such file or directory")
            code = 1
            continue
        found, (owner, group) = path.stat(), edge(call).edge.owners.of(path)
        kind = "directory" if path.is_dir() else "regular file" if found.st_size else "regular empty file"
        values = {
            "%a": f"{found.st_mode & 0o7777:o}", "%U": owner, "%G": group, "%s": str(found.st_size), "%n": name,
            "%Y": str(int(found.st_mtime)), "%i": str(found.st_ino), "%A": modes.filemode(found.st_mode), "%F": kind,
        }  # fmt: skip
        said = form or "%n"
        for letter, value in values.items():
            said = said.replace(letter, value)
        call.out(said)
    return code


def ls(call: Call) -> int:
    """The real one, and `ls -l` with the owners of this router."""
    flags = "".join(word[1:] for word in call.argv if word.startswith("-") and not word.startswith("--"))
    if "l" not in flags:
        real = shutil.which("ls")
        raise Replace([real or "/bin/ls", "ls", *call.argv], edge(call).number)
    code = 0
    for name in [word for word in call.argv if not word.startswith("-")] or ["."]:
        path = call.path(name)
        if not path.exists():
            call.err(f"ls: cannot access '{name}': No such file or directory")
            code = 2
            continue
        if path.is_dir() and "d" not in flags:
            inside = sorted(one for one in path.iterdir() if "a" in flags or "A" in flags or not one.name.startswith("."))
            call.out(f"total {4 * len(inside)}")
        else:
            inside = [path]
        for one in inside:
            found, (owner, group) = one.lstat(), edge(call).edge.owners.of(one)
            when = time.strftime("%b %e %H:%M", time.localtime(found.st_mtime))
            shown = name if inside == [path] else one.name
            call.out(f"{modes.filemode(found.st_mode)} {found.st_nlink} {owner} {group} {found.st_size} {when} {shown}")
    return code


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
