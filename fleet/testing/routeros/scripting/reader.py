"""Characters of a script: blanks, lines, words, quoted strings (manual, "Line structure", "Constant escape sequences")."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .data import literal
from .errors import BadSyntax
from .tree import ArrayOf, Expression, Literal, Substitution, Template, Variable

MAX_DEPTH: Final = 40
_BLANK: Final = re.compile(r"(?:[ \t]|\\\r?\n)*")
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|\\\r?\n)*")
_WORD: Final = re.compile(r"[A-Za-z0-9_.:/,*%@!-]+")
_PLAIN: Final = re.compile(r'[^"\\$]+')
_NAME: Final = re.compile(r"[A-Za-z0-9]+")
_JOIN: Final = re.compile(r"\r?\n[ \t]*")
_HEX: Final = re.compile(r"[0-9A-F]{2}")
_KEY: Final = re.compile(r"([A-Za-z0-9.-]+|\"[^\"\\$]*\")=")
_ESCAPES: Final = {
    '"': b'"', "\\": b"\\", "$": b"$", "?": b"?", "_": b" ", "n": b"\n", "r": b"\r", "t": b"\t",
    "a": b"\a", "b": b"\b", "f": b"\f", "v": b"\v",
}  # fmt: skip


class Reader(ABC):
    """A position in a text, and the values that can be read there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._depth = 0

    # --- for those who know more of the language -----------------------------------------------------------------------

    @abstractmethod
    def expression(self) -> Expression:
        """What is inside parentheses, without them."""

    @abstractmethod
    def substitution(self) -> Substitution:
        """What is inside brackets, the closing one included."""

    @abstractmethod
    def used(self, name: str, at: int) -> None:
        """A variable is read. Raises BadSyntax if nobody declared it."""

    # --- moving --------------------------------------------------------------------------------------------------------

    def wrong(self, message: str, at: int | None = None) -> BadSyntax:
        """A syntax error here."""
        return BadSyntax(message, self.text, self.at if at is None else at)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """One level deeper. Raises BadSyntax beyond what any script needs."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.wrong("nested too deeply")
        try:
            yield
        finally:
            self._depth -= 1

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def blank(self) -> bool:
        """Skip blanks and joined lines; True if there were any."""
        found = _BLANK.match(self.text, self.at)
        moved = found is not None and found.end() > self.at
        if found is not None:
            self.at = found.end()
        return moved

    def space(self) -> None:
        """Skip blanks and line ends, inside parentheses."""
        found = _SPACE.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def take(self, token: str) -> bool:
        """Move over a token if it is next."""
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        """Move over a token. Raises BadSyntax."""
        if not self.take(token):
            raise self.wrong("missing closing brace" if token == "}" else f"expected {token}")

    def word(self, pattern: re.Pattern[str] = _NAME) -> str:
        """What the pattern finds here, empty if nothing."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found.group()

    def ends(self) -> bool:
        """True where a command ends."""
        return self.peek() in ("", ";", "\n", "\r", "]", "}", ")")

    # --- values --------------------------------------------------------------------------------------------------------

    def argument(self) -> Expression:
        """A value of a command: word, string, variable, (expression), [command], {array}. Raises BadSyntax."""
        value = self._bare_argument()
        if not self.ends() and not self.blank():
            raise self.wrong("expected end of command")
        return value

    def _bare_argument(self) -> Expression:
        first = self.peek()
        if first == '"':
            return self.string()
        if first == "$":
            return self.variable()
        if first == "(":
            return self.parenthesised()
        if first == "[":
            self.at += 1
            with self.nested():
                return self.substitution()
        if first == "{":
            return self.array(empty=False)
        word = self.word(_WORD)
        if not word:
            raise self.wrong("syntax error" if first else "unexpected end of script")
        return Literal(literal(word), word)

    def parenthesised(self) -> Expression:
        """`( ... )`."""
        self.at += 1
        with self.nested():
            inner = self.expression()
        self.space()
        self.expect(")")
        return inner

    def variable(self) -> Variable:
        """`$name`; other characters than letters and digits need quotes: `$"my-name"`."""
        start = self.at
        self.at += 1
        name = self.quoted_name() if self.peek() == '"' else self.word()
        if not name:
            raise self.wrong("expected variable name", start)
        self.used(name, start)
        return Variable(name)

    def quoted_name(self) -> str:
        """A name in quotes."""
        string = self.string()
        if not isinstance(string, Literal):
            raise self.wrong("a name has no variables in it")
        return string.written

    def name(self) -> str:
        """The name that a declaration gives: letters and digits, or in quotes. Raises BadSyntax."""
        start = self.at
        name = self.quoted_name() if self.peek() == '"' else self.word()
        if not name or name in ("and", "or", "not", "in"):
            raise self.wrong("expected variable name", start)
        return name

    def array(self, *, empty: bool) -> Expression:
        """`{a;b}`, `{key=value;...}`; empty only inside parentheses."""
        start = self.at
        self.at += 1
        elements: list[tuple[str | None, Expression]] = []
        with self.nested():
            self.space()
            while not self.take("}"):
                found = _KEY.match(self.text, self.at)
                if found is not None:
                    self.at = found.end()
                elements.append((None if found is None else found.group(1).strip('"'), self._bare_argument()))
                self.space()
                if not self.take(";") and self.peek() != "}":
                    raise self.wrong("expected ; or }")
                self.space()
        if not elements and not empty:
            raise self.wrong("syntax error", start)
        return ArrayOf(tuple(elements))

    # --- strings -------------------------------------------------------------------------------------------------------

    def string(self) -> Expression:
        """`"..."`: a Literal, or a Template when something in it is computed. Raises BadSyntax."""
        start = self.at
        self.at += 1
        parts: list[str | Expression] = []
        octets = bytearray()
        while True:
            octets += self.word(_PLAIN).encode("utf-8", "surrogateescape")
            following = self.peek()
            self.at += 1
            if following == '"':
                break
            if following == "\\":
                octets += self._escape()
            elif following == "$":
                parts.append(octets.decode("utf-8", "surrogateescape"))
                octets.clear()
                parts.append(self._embedded())
            else:
                raise self.wrong('missing closing "', start)
        last = octets.decode("utf-8", "surrogateescape")
        return Template((*parts, last)) if parts else Literal(last, last)

    def _escape(self) -> bytes:
        joined = _JOIN.match(self.text, self.at)
        if joined is not None:
            self.at = joined.end()
            return b""
        pair = self.word(_HEX)
        if pair:
            return bytes((int(pair, 16),))
        known = _ESCAPES.get(self.peek())
        if known is None:
            raise self.wrong("unknown escape sequence", self.at - 1)
        self.at += 1
        return known

    def _embedded(self) -> Expression:
        following = self.peek()
        if following == "(":
            return self.parenthesised()
        if following == "[":
            self.at += 1
            with self.nested():
                return self.substitution()
        start = self.at - 1
        name = self.word()
        if not name:
            raise self.wrong("expected variable name: a dollar sign in a string is \\$", start)
        self.used(name, start)
        return Variable(name)
