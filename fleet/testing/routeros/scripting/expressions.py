"""Expressions in parentheses (manual, "Operators").

The manual gives no precedence between `.` and arithmetic and none for `!` before a comparison; both want parentheses here.
"""

from __future__ import annotations

import re
from abc import ABC
from typing import Final

from .data import literal
from .operators import Binary, Unary
from .reader import Reader
from .tree import Expression, Literal

_COMPARISON: Final = re.compile(r"!=|<=|>=|=|<(?!<)|>(?!>)|~|in(?=[\s(\[\"$])")
_OR: Final = re.compile(r"\|\||or(?=[\s(\[\"$!])")
_AND: Final = re.compile(r"&&|and(?=[\s(\[\"$!])")
_NOT: Final = re.compile(r"!|not(?=[\s(\[\"$])")
_SUM: Final = re.compile(r"\+|-(?!>)")
_PRODUCT: Final = re.compile(r"\*|/|%")
_ATOM: Final = re.compile(
    r"(?:\d+w)?(?:\d+d)?\d+:\d\d(?::\d\d(?:\.\d+)?)?(?![\w:])"  # clock
    r"|\d+\.\d+\.\d+\.\d+(?:/\d+)?"
    r"|(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4})*)?::[0-9a-fA-F:.]*(?:/\d+)?"
    r"|[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){7}(?:/\d+)?"
    r"|\*[0-9A-F]+"
    r"|\w+(?:-[A-Za-z]\w*)*",
    re.ASCII,
)


class Expressions(Reader, ABC):
    """Everything between `(` and `)`."""

    def expression(self) -> Expression:
        """`or` binds least. Raises BadSyntax."""
        self.space()
        if self.peek() == ")":
            return Literal(None, "")
        left = self._and()
        while self._operator(_OR):
            left = Binary("or", left, self._and())
        return left

    def _operator(self, pattern: re.Pattern[str]) -> str:
        self.space()
        return self.word(pattern)

    def _and(self) -> Expression:
        left = self._comparison()
        while self._operator(_AND):
            left = Binary("and", left, self._comparison())
        return left

    def _comparison(self) -> Expression:
        left = self._listing()
        while operator := self._operator(_COMPARISON):
            left = Binary(operator, left, self._listing())
        return left

    def _listing(self) -> Expression:
        left = self._concatenation()
        while self._operator(_COMMA):
            left = Binary(",", left, self._concatenation())
        return left

    def _concatenation(self) -> Expression:
        left, arithmetic = self._sum()
        while self._operator(_DOT):
            right, more = self._sum()
            if arithmetic or more:
                raise self.wrong("which of . and arithmetic comes first is not documented: use parentheses")
            left = Binary(".", left, right)
        return left

    def _sum(self) -> tuple[Expression, bool]:
        left, arithmetic = self._product()
        while operator := self._operator(_SUM):
            left, arithmetic = Binary(operator, left, self._product()[0]), True
        return left, arithmetic

    def _product(self) -> tuple[Expression, bool]:
        left, arithmetic = self._unary(), False
        while operator := self._operator(_PRODUCT):
            left, arithmetic = Binary(operator, left, self._unary()), True
        return left, arithmetic

    def _unary(self) -> Expression:
        self.space()
        if self.word(_NOT):
            with self.nested():
                operand = self._unary()
            self.space()
            if _COMPARISON.match(self.text, self.at):
                raise self.wrong("whether ! comes before a comparison is not documented: write !(...)")
            return Unary("!", operand)
        if self.word(_MINUS):
            with self.nested():
                return Unary("-", self._unary())
        left = self._atom()
        while self._operator(_ARROW):
            self.space()
            left = Binary("->", left, self._atom())
        return left

    def _atom(self) -> Expression:
        if self.peek() == "{":
            return self.array(empty=True)
        if self.peek() in ('"', "$", "(", "["):
            return self._bare_argument()
        word = self.word(_ATOM)
        if not word:
            raise self.wrong("syntax error")
        return Literal(literal(word), word)


_COMMA: Final = re.compile(",")
_DOT: Final = re.compile(r"\.")
_MINUS: Final = re.compile("-")
_ARROW: Final = re.compile("->")
