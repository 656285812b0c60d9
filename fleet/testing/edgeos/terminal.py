"""The interactive shell as bytes on a terminal: prompts, configuration mode, pager, errors. Sheet 2.1 to 2.3, captures 1."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .backend import Session
from .calls import IN_GROUP, EdgeCall
from .edit import Said
from .operational import invalid, operational
from .tree import Path

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator

_numbers = itertools.count(1)
_OPERATIONAL: Final = frozenset({"show", "generate", "clear", "reboot", "terminal"})
_SHELL: Final = frozenset({"export", "echo", "cd", "true", "false", "stty", "test", "["})


class Terminal:
    """One login. Feed it lines; it answers with everything that appears, the echo and the next prompt included."""

    def __init__(self, router: EdgeOsSimulator, login: str = "", *, rows: int = 24, came_from: str = "10.213.77.1") -> None:
        self._router = router
        self.user = router.user_of(router.uid_of(login) if login else 1000)
        self.rows = rows
        self.closed = False
        self._came_from = came_from
        self._session: Session | None = None
        self._name = ""
        self._level: Path = ()
        self._pager = "less"
        self._outer_pager = "less"
        self._awaits: Callable[[str], str] | None = None
        self._committing: EdgeCall | None = None

    # --- the line ------------------------------------------------------------------------------------------------------

    def greeting(self) -> str:
        """What a login shows, with the first prompt."""
        router = self._router
        release = router.kernel.sysctls["kernel.osrelease"]
        lines = (
            f"Linux {router.name} {release} #1 SMP Thu Jun 15 11:34:36 UTC 2023 {router.machine}\r\n"
            "Welcome to EdgeOS\r\n"
            f"Last login: Mon Nov 23 05:57:17 2026 from {self._came_from}\r\r\n"
        )
        return lines + self.prompt

    @property
    def prompt(self) -> str:
        """The prompt as it is now; `#` alone does not mean configuration mode."""
        who = f"{self.user.name}@{self._router.name}"
        if self.user.level != "admin":
            return f"{who}> "
        if self._session is None:
            return f"{who}:~$ "
        return f"{' '.join(['[edit', *self._level])}]\r\r\n{who}# "

    @property
    def wants_key(self) -> bool:
        """True while the pager or a question waits for one key, not for a line."""
        return self._awaits is not None

    def send(self, line: str) -> str:
        """One line typed, with Enter: echo, output, next prompt."""
        return f"{line}\r\n{self.answer(line)}"

    def answer(self, line: str) -> str:
        """As `send`, without the echo."""
        if self._awaits is not None:
            asked, self._awaits = self._awaits, None
            said = _tty(asked(line))
        else:
            said = _tty(self._run(line.strip()))
        return said if self.closed or self._awaits is not None else said + self.prompt

    def interrupt(self) -> None:
        """Ctrl-C while a commit hangs, from another thread: the change stays in the session (sheet 2.5)."""
        if self._committing is not None:
            self._committing.interrupted = True

    def hang_up(self) -> None:
        """The connection drops: a session of configuration mode stays behind until the reboot (sheet 2.5)."""
        self.closed = True

    def _run(self, line: str) -> str:
        if not line:
            return ""
        if re.search(r"![^\s=(]", re.sub(r"'[^']*'", "", line)):  # history, as in every interactive bash
            return f"vbash: {line[line.index('!') :].split(maxsplit=1)[0]}: event not found\n"
        if "?" in line:  # bound to completion (sheet 2.3): never part of what is typed
            return "\nPossible completions:\n" + self._run(line.replace("?", ""))
        first, pipe, rest = _piped(line)
        try:
            words = shlex.split(first)
        except ValueError:
            return self._bash(line)
        if not words:
            return ""
        said = self._command(words, paged=not pipe)
        if said is None:
            return self._bash(line)
        return self._through(rest, said) if pipe else said

    def _command(self, words: list[str], *, paged: bool) -> str | None:
        """What a word of the shell says; None: it is a program."""
        if self.user.level != "admin" and words[0] != "exit":
            return invalid(words, words[0])
        if words[:1] == ["export"] and words[1:2] and words[1].startswith("VYATTA_PAGER="):
            self._pager = words[1].partition("=")[2]
            return ""
        if self._session is not None:
            return self._configuring(self._session, words, paged=paged)
        if words[0] == "configure":
            return self._configure()
        if words[0] == "exit":
            self.closed = True
            return "logout\n"
        if words[0] in _OPERATIONAL:
            return self._operational(words, paged=paged)
        return None if self._is_program(words[0]) else invalid(words, words[0])

    def _is_program(self, word: str) -> bool:
        return word in _SHELL or "=" in word or "/" in word or self._router.has(word)

    def _call(self, words: list[str]) -> EdgeCall:
        uid = self.user.uid + (IN_GROUP if self._session is not None else 0)
        return self._router.make_call(words[0], words[1:], self._router.root_path, uid)

    def _operational(self, words: list[str], *, paged: bool) -> str:
        if words[:2] == ["terminal", "length"] and words[2:]:
            self._pager = "cat" if words[2] == "0" else self._pager
            self.rows = int(words[2]) or self.rows
            return ""
        call = self._call(words)
        with self._router.locked():
            operational(call, words)
        return self._page(call.said()) if paged and words[0] == "show" else call.said()

    def _bash(self, line: str) -> str:
        uid = self.user.uid + (IN_GROUP if self._session is not None else 0)
        out, error, _ = self._router.run(line, b"", {"FLEET_SIM_UID": str(uid), "USER": self.user.name})
        return (out + error).decode("utf-8", "replace")

    def _through(self, rest: str, text: str) -> str:
        return self._router.filter(rest, text, {"FLEET_SIM_UID": str(self.user.uid)})

    # --- the pager -----------------------------------------------------------------------------------------------------

    def _page(self, text: str) -> str:
        """`less --quit-if-one-screen`: its escapes are there even when it does not stop."""
        if self._pager != "less" or not text or text.startswith("\n  Invalid"):
            return text
        lines = text.splitlines()
        start, end = "\x1b[?1h\x1b=\r", "\r\x1b[K\x1b[?1l\x1b>"
        if len(lines) < self.rows:
            return start + "".join(f"{line}\x1b[m\n" for line in lines) + end
        return start + self._screen(lines, end)

    def _screen(self, lines: list[str], end: str) -> str:
        shown, rest = lines[: self.rows - 1], lines[self.rows - 1 :]
        text = "".join(f"{line}\x1b[m\n" for line in shown)
        if not rest:
            return text + end

        def answer(key: str) -> str:
            return end if key.startswith("q") else "\r\x1b[K" + self._screen(rest, end)

        self._awaits = answer
        return f"{text}:\x1b[K"

    # --- configuration mode --------------------------------------------------------------------------------------------

    def _configure(self) -> str:
        self._name = f"tty{next(_numbers)}"
        self._session = self._router.backend.sessions.setdefault(self._name, Session())
        self._router.leave_traces(self._name)
        self._level = ()
        self._outer_pager, self._pager = self._pager, "less"  # the sub-shell sets it anew (sheet 2.2)
        return ""

    def _configuring(self, session: Session, words: list[str], *, paged: bool) -> str | None:
        backend, verb, rest = self._router.backend, words[0], words[1:]
        path, self._router.acting = (*self._level, *rest), self._call(words)
        with self._router.locked():
            if verb in {"set", "delete"}:
                return backend.edit(session, verb, path).text
            if verb == "show":
                said = backend.show(session, path)
                return self._page(said.text) if paged and not said.text.startswith(("Spec", "Conf")) else said.text
            simple = self._simple(session, verb, rest)
        if simple is not None:
            return simple.text
        if verb == "run":
            return self._operational(rest, paged=paged) if rest[:1] and rest[0] in _OPERATIONAL else invalid(words, rest[0])
        if verb in {"edit", "top", "up"}:
            self._level = path if verb == "edit" else self._level[:-1] if verb == "up" else ()
            return ""
        if verb == "commit-confirm":
            return self._commit_confirm(session, int(rest[0]) if rest and rest[0].isdigit() else 10)
        if verb == "exit":
            return self._exit(session, rest)
        return None if self._is_program(verb) else invalid(words, verb)

    def _simple(self, session: Session, verb: str, rest: list[str]) -> Said | None:
        """Commands that say something and are done."""
        router, backend = self._router, self._router.backend
        if verb == "commit":
            if rest[:1] == ["confirm"]:
                changed = backend.changed(session)
                return Said("Use commit-confirm command\n" if changed else "No configuration changes to commit\n")
            self._committing = call = self._call(["commit", *rest])
            said = router.commit(session, call)
            return Said(said.text.replace("\nCommit failed\n", "^C\n"), 1) if call.interrupted else said
        if verb == "compare":
            return backend.compare(session)
        if verb == "discard":
            return backend.discard(session)
        if verb == "save":
            return backend.save(session, rest[0] if rest else "")
        if verb in {"load", "merge"}:
            return backend.load(session, rest[0] if rest else "", merge=verb == "merge")
        if verb == "confirm":
            return router.management.confirm()
        if verb == "rollback":
            return router.management.rollback(rest[0] if rest else "")
        if verb == "comment":
            return backend.comment(session, (*self._level, *rest[:-1]), rest[-1])
        return None

    def _commit_confirm(self, session: Session, minutes: int) -> str:
        router, call = self._router, self._call(["commit"])
        with router.locked():
            said = router.management.before_confirm(session, call)
        if said is not None:
            return said.text

        def answer(key: str) -> str:
            if key and key[0] not in "yY":
                return ""
            with router.locked():
                router.management.arm(minutes)
                return router.commit(session, call).text

        self._awaits = answer
        question = "Proceed? [confirm]" + ("[y]" if "confirm-y" in router.otherwise else "")
        return f"commit confirm will be automatically reboot in {minutes} minutes unless confirmed\n{question}"

    def _exit(self, session: Session, rest: list[str]) -> str:
        if self._level and not rest:
            self._level = ()
            return ""
        if self._router.backend.changed(session) and rest != ["discard"]:
            return "Cannot exit: configuration modified.\nUse 'exit discard' to discard the changes and exit.\n"
        self._router.backend.sessions.pop(self._name, None)
        self._router.leave_no_traces(self._name)
        self._session, self._pager = None, self._outer_pager
        return "Warning: configuration changes have not been saved.\nexit\n" if session.unsaved else "exit\n"


def _piped(line: str) -> tuple[str, bool, str]:
    """A line at its first pipe outside quotes."""
    found = re.match(r"""((?:[^'"|]|'[^']*'|"[^"]*")*)\|(?!\|)(.*)""", line, re.DOTALL)
    return (found[1], True, found[2].strip()) if found else (line, False, "")


def _tty(text: str) -> str:
    """Line ends as a terminal gets them."""
    return text.replace("\n", "\r\n")
