"""One call of the API after the web server has done its part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True)
class Call:
    """`parameters`: path elements after the action. `post`: the body as PHP has it in $_POST."""

    method: str
    uri: str
    parameters: tuple[str, ...] = ()
    post: Mapping[str, object] = field(default_factory=dict)
    username: str = "root"
    readonly: bool = False

    @property
    def posted(self) -> bool:
        """True for a POST."""
        return self.method == "POST"

    @property
    def got(self) -> bool:
        """True for a GET."""
        return self.method == "GET"

    def root(self, name: str) -> Mapping[str, object] | None:
        """The object under a root key of the body; None if this is no POST or there is none."""
        found = self.post.get(name) if self.posted else None
        if isinstance(found, dict):
            return found
        return {} if found == [] else None

    def parameter(self, position: int = 0) -> str | None:
        """A path element, None if it is not there."""
        return self.parameters[position] if len(self.parameters) > position else None


@dataclass(frozen=True, slots=True)
class Action:
    """What answers; `needs` path elements, else the endpoint is not found (sheet 1)."""

    run: Callable[[Call], object]
    needs: int = 0


Actions: TypeAlias = "dict[str, Action]"
"""`module/controller/action`, lower case without underscores, as PHP compares them (sheet 1)."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A reply that is not JSON."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
