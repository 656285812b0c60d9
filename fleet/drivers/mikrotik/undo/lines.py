"""The script while it grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .... import Mark
from ..meaning import Native
from ..script import attempt, found, like, words


@dataclass(slots=True)
class Lines:
    """Commands in two parts: first everything that gives something up, then everything that takes something.

    `tag` is on rules that are made under this guard; `native` is the read before the plan.
    """

    mark: Mark
    tag: str
    native: Native
    release: list[str] = field(default_factory=list)
    restore: list[str] = field(default_factory=list)

    @property
    def ours(self) -> str:
        """The condition that an object carries a mark of this overlay."""
        return like("comment", f"fleet:{self.mark.overlay}:")

    def remove(self, menu: str, *conditions: str) -> None:
        """Remove what the plan made."""
        self.release.append(attempt(f"{menu}/remove {found(*conditions)}"))

    def withdraw(self, menu: str, *conditions: str) -> None:
        """Remove what the plan made, when what it replaced is back."""
        self.restore.append(attempt(f"{menu}/remove {found(*conditions)}"))

    def narrow(self, menu: str, attributes: Iterable[tuple[str, str]], *conditions: str) -> None:
        """Give up something of an object that is set back later."""
        self.release.append(attempt(f"{menu}/set {found(*conditions)} {words(attributes)}"))

    def set(self, menu: str, attributes: Iterable[tuple[str, str]], *conditions: str) -> None:
        """Set words back."""
        self.restore.append(attempt(f"{menu}/set {found(*conditions)} {words(attributes)}"))

    def enable(self, menu: str, *conditions: str) -> None:
        """Enable what was only disabled."""
        self.restore.append(attempt(f"{menu}/enable {found(*conditions)}"))
