"""One interactive session: dialogues one after the other, every command judged before the next is typed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from ...dialects import Cli, Mode
from ...errors import ConnectionLost, Rejected, RouterError
from ...link import Address, Dialogue, Part, Reply, Request
from ...model import Secret
from . import screen
from .terminal import Gone

if TYPE_CHECKING:
    from .terminal import Terminal

SETTLE: Final = 0.02
"""Seconds of silence after what looks like a prompt: output may hold something that looks like one."""

UNECHOED: Final = 1.0
"""Seconds of silence after a prompt that followed no echo: some devices show none."""

EVIDENCE_LINES: Final = 5

Answers: TypeAlias = tuple[tuple[str, Part], ...]


class CliSession:
    """One terminal on one SSH connection. Not for use by two threads at once."""

    def __init__(self, terminal: Terminal, dialect: Cli, identity: str, address: Address, router: str) -> None:
        self.identity = identity
        self.address = address
        self._terminal: Terminal | None = terminal
        self._dialect = dialect
        self._router = router

    def greet(self, timeout: float) -> None:
        """Await the first prompt and send what prepares the session. Raises Gone, TimeoutError."""
        deadline = time.monotonic() + timeout
        self._await(None, deadline, ())
        for command in self._dialect.prepare:
            self._typed(command, deadline, ())

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        """One dialogue after the other; after a lost connection the rest is ConnectionLost(sent=False)."""
        return [self._run(request) for request in requests]

    def close(self) -> None:
        """Hang up without a goodbye; never raises."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.hang_up()

    # ----------------------------------------------------------------------------------------------- dialogue
    def _run(self, request: Request) -> Reply | RouterError:
        if not isinstance(request, Dialogue):
            raise TypeError(f"transport cli carries Dialogue, not {type(request).__name__}")
        if self._terminal is None:
            return self._lost("connection lost before the first command was sent", sent=False)
        unsafe = next((line for line in request.lines if self._unsafe(_revealed(line))), None)
        if unsafe is not None:
            return Rejected(
                f"not sent: {_shown(unsafe)!r} holds a character that the command line acts on",
                "take it out of the name or comment it comes from",
                router=self._router,
            )
        typed = [False]
        try:
            return self._in_mode(request, time.monotonic() + request.timeout, typed)
        except TimeoutError:
            return self._lost(f"no prompt within {request.timeout:g} s", sent=typed[0])
        except Gone as error:
            return self._lost(f"connection lost during the dialogue: {error}", sent=typed[0])

    def _in_mode(self, request: Dialogue, deadline: float, typed: list[bool]) -> Reply | RouterError:
        mode = self._dialect.modes[request.mode] if request.mode else Mode((), ())
        outputs: list[str] = []

        def run(lines: Sequence[str | tuple[Part, ...]], keep: list[str]) -> Rejected | None:
            """Type lines until one is refused; `keep` gets the output of each that was taken."""
            for line in lines:
                printed = self._typed(_revealed(line), deadline, request.answers)
                if (refused := self._judged(line, request, printed)) is not None:
                    return refused
                keep.append(printed)
            return None

        entered: list[str] = []
        refused = run(mode.enter, entered)
        if refused is None:
            typed[0] = bool(request.lines)
            refused = run(request.lines, outputs) or run(mode.leave, [])
        if refused is None:
            return Reply(text="\n".join(outputs), data=tuple(outputs))
        if entered:  # where nobody came in, the command out would end the login
            run(mode.abandon or mode.leave, [])
        return refused

    def _judged(self, line: str | tuple[Part, ...], request: Dialogue, printed: str) -> Rejected | None:
        if not screen.refusal(printed, self._dialect, request.accept):
            return None
        said = _redacted(printed, request)
        lines = [text.strip() for text in said.splitlines() if text.strip()][-EVIDENCE_LINES:]
        return Rejected(
            f"refused `{_shown(line)}`: {'; '.join(lines)[:300]}",
            "`fleet plan` reads again and shows what is still missing",
            evidence="\n".join(lines),
            router=self._router,
        )

    # ------------------------------------------------------------------------------------------------- typing
    def _typed(self, command: str, deadline: float, answers: Answers) -> str:
        """What a command printed. Raises Gone, TimeoutError."""
        assert self._terminal is not None
        self._terminal.printed(0)  # what a router says unasked (a log line) belongs to no command
        self._terminal.type(f"{command}\n", deadline)
        return self._await(command, deadline, answers)

    def _await(self, command: str | None, deadline: float, answers: Answers) -> str:
        """What is printed until the next prompt, without the echo of `command`."""
        assert self._terminal is not None
        terminal, raw, pages, silent = self._terminal, "", "", time.monotonic()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            news = terminal.printed(min(left, SETTLE))
            raw += news
            if news:
                silent = time.monotonic()
                continue
            text = screen.without_escapes(raw)
            body = text if command is None else screen.without_echo(text, command)
            if time.monotonic() - silent < (SETTLE if body is not None else UNECHOED):
                continue
            plain = screen.plain(text if body is None else body)
            plain = pages + (screen.without_erasure(plain) if pages else plain)
            printed = screen.before(plain, self._dialect.prompt)
            if printed is not None:
                return printed.rstrip("\n")
            page = screen.before(plain, self._dialect.pager) if self._dialect.pager else None
            keys = " " if page is not None else self._answer(plain, answers)
            if keys:
                terminal.type(keys, deadline)
                silent = time.monotonic()
            if page is not None:
                pages, raw, command = page, "", None

    @staticmethod
    def _answer(plain: str, answers: Answers) -> str:
        """The keys for a question that was expected, where one is asked."""
        found: Part = next((keys for question, keys in answers if screen.before(plain, question) is not None), "")
        return found.reveal() if isinstance(found, Secret) else found

    def _unsafe(self, line: str) -> bool:
        return any(key in self._dialect.unsafe or not key.isprintable() for key in line)

    def _lost(self, summary: str, *, sent: bool) -> ConnectionLost:
        self.close()
        return ConnectionLost(summary, "run `fleet sync` again", sent=sent, router=self._router)


def _revealed(line: str | tuple[Part, ...]) -> str:
    if isinstance(line, str):
        return line
    return "".join(part.reveal() if isinstance(part, Secret) else part for part in line)


def _shown(line: str | tuple[Part, ...]) -> str:
    return line if isinstance(line, str) else "".join(str(part) for part in line)


def _redacted(text: str, request: Dialogue) -> str:
    parts = [part for line in request.lines if not isinstance(line, str) for part in line]
    for part in (*parts, *(keys for _, keys in request.answers)):
        if isinstance(part, Secret) and part.reveal().strip():
            text = text.replace(part.reveal().strip(), "***")
    return text
