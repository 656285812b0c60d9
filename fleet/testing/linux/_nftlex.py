"""Tokens of the nftables language, with their places for error carets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r]+|\\\n) | (?P<comment>\#[^\n]*) | (?P<newline>\n)
      | (?P<string>"[^"\n]*") | (?P<symbol>==|!=|<=|>=|[{};,=<>()|&/]|:(?=\s)|(?<=\s):(?=\s))
      | (?P<word>[@$]?[A-Za-z0-9_.\-*+:\[\]%^~]+(?:/[A-Za-z0-9_.:]+)*)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is word, string, symbol, newline or end; `text` of a string is without its quotes."""

    kind: str
    text: str
    line: int
    start: int
    end: int

    @property
    def named(self) -> str:
        """How a syntax error calls it."""
        if self.kind == "newline":
            return "newline"
        if self.kind == "end":
            return "end of file"
        return (
            {"string": "quoted string", "word": "string"}.get(self.kind, self.text)
            if self.kind != "symbol"
            else f"'{self.text}'"
        )


class NftError(Exception):
    """A refusal with the place it points at."""

    def __init__(self, words: str, token: Token) -> None:
        super().__init__(words)
        self.words = words
        self.token = token


def tokens(text: str) -> list[Token]:
    """All tokens, newlines included, closed by an end token. Raises NftError at a character nobody knows."""
    found: list[Token] = []
    place, line, line_start = 0, 1, 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        start = place - line_start
        if match is None:
            raise NftError("syntax error, unexpected junk", Token("junk", text[place], line, start, start + 1))
        kind, value = match.lastgroup or "", match.group()
        place = match.end()
        if kind == "newline":
            found.append(Token("newline", "\n", line, start, start + 1))
            line, line_start = line + 1, place
        elif kind == "space" and value.startswith("\\"):
            line, line_start = line + 1, place
        elif kind not in {"space", "comment"}:
            found.append(Token(kind, value.strip('"') if kind == "string" else value, line, start, place - line_start))
    found.append(Token("end", "", line, place - line_start, place - line_start + 1))
    return found


class Stream:
    """Tokens taken in order."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._place = 0

    @property
    def next(self) -> Token:
        """The next token, not taken."""
        return self._tokens[self._place]

    @property
    def after(self) -> Token:
        """The one behind it."""
        return self._tokens[min(self._place + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next token."""
        token = self._tokens[self._place]
        if token.kind != "end":
            self._place += 1
        return token

    def accept(self, *texts: str) -> Token | None:
        """The next token if it is one of these words or symbols."""
        if self.next.kind in {"word", "symbol"} and self.next.text in texts:
            return self.take()
        return None

    def expect(self, text: str) -> Token:
        """The next token, which must be this. Raises NftError."""
        token = self.accept(text)
        if token is None:
            raise self.unexpected(f"expecting {text}")
        return token

    def name(self) -> Token:
        """The next token, which must be a word or string. Raises NftError."""
        if self.next.kind not in {"word", "string"}:
            raise self.unexpected("expecting string")
        return self.take()

    def unexpected(self, hint: str = "") -> NftError:
        """The syntax error that points at the next token."""
        return NftError(f"syntax error, unexpected {self.next.named}" + (f", {hint}" if hint else ""), self.next)

    @property
    def at_end_of_statement(self) -> bool:
        """True before a semicolon, newline, closing brace or the end."""
        return self.next.kind in {"newline", "end"} or (self.next.kind == "symbol" and self.next.text in {";", "}"})

    def skip_separators(self) -> None:
        """Pass newlines and semicolons."""
        while self.next.kind == "newline" or (self.next.kind == "symbol" and self.next.text == ";"):
            self.take()

    def skip_newlines(self) -> None:
        """Pass newlines only."""
        while self.next.kind == "newline":
            self.take()
