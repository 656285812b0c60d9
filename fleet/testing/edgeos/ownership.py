"""Who owns a file, and the commands that ask or say so."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat as modes
import time
from collections.abc import Iterator
from pathlib import Path

from ..linux._call import Call, Refused, Replace
from .calls import GROUP, User, edge


class Owners:
    """Who owns a file. The simulator cannot ask the real file system, where everything belongs to whoever runs it."""

    def __init__(self, root: Path, login: str) -> None:
        self._root = root
        self._login = login
        self._making: list[tuple[str, set[Path]]] = []
        self._known: dict[int, tuple[Path, int, tuple[str, str]]] = {}

    def of(self, path: Path) -> tuple[str, str]:
        """Owner and group. What a script made belongs to the login; /config hands its group down (it is setgid)."""
        try:
            found = path.stat()
        except OSError:
            return self._login, "users"
        where, modified, owner = self._known.get(found.st_ino, (Path(), 0, ("", "")))
        if path == where or (owner[0] and found.st_mtime_ns == modified):  # still there, or moved; else its number was reused
            return owner
        try:
            inside = path.relative_to(self._root).parts
        except ValueError:
            inside = ()
        if inside[:1] == ("config",):
            maker = next((user for user, before in self._making if path not in before), self._login)
            return ("root" if path.is_dir() else maker), GROUP
        return (self._login, "users") if inside[:1] in {("tmp",), ("home",), ("run",)} else ("root", "root")

    def set(self, path: Path, owner: str | None = None, group: str | None = None) -> None:
        """As chown and chgrp do."""
        old = self.of(path)
        found = path.stat()
        self._known[found.st_ino] = (path, found.st_mtime_ns, (owner or old[0], group or old[1]))

    @contextlib.contextmanager
    def made_by(self, user: str) -> Iterator[None]:
        """Files below /config that appear meanwhile are this user's, unless somebody says otherwise."""
        if user == self._login:
            yield
            return
        before = set(self._inside())
        making = (user, before)
        self._making.append(making)
        try:
            yield
        finally:
            for path in set(self._inside()) - before:
                with contextlib.suppress(OSError):
                    self.set(path)
            self._making.remove(making)

    def _inside(self) -> list[Path]:
        return [path for path in (self._root / "config").rglob("*") if path.is_file()]

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
