"""The operations of the Open API: verb, path, who may, and which generation has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..access import Application
from ..codes import Refused, invalid
from ..settings import Json
from ..site import Site

if TYPE_CHECKING:
    from ..controller import Controller

SITE_V1: Final = "/openapi/v1/{omadacId}/sites/{siteId}"
SITE_V2: Final = "/openapi/v2/{omadacId}/sites/{siteId}"

Generation: TypeAlias = Literal[0, 1, 2]


class Nothing:
    """An operation without `result`."""


NOTHING: Final = Nothing()


@dataclass(slots=True)
class Call:
    """One call of an operation, after every check that is the same for all."""

    controller: Controller
    application: Application
    parts: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    endpoints_lost: bool = False

    @property
    def site(self) -> Site:
        """The site in the path."""
        return self.controller.sites[self.parts["siteId"]]


Run: TypeAlias = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """`generation`: 1 goes with the deprecated v1 family, 2 came with v2, 0 is always there."""

    method: str
    path: str
    rights: frozenset[str]
    run: Run
    generation: Generation
    pattern: re.Pattern[str]

    @property
    def writes(self) -> bool:
        """True if it may change something."""
        return self.method != "GET"


OPERATIONS: Final[list[Operation]] = []


def operation(method: str, path: str, rights: frozenset[str], generation: Generation = 0) -> Callable[[Run], Run]:
    """Register a function as the operation with this verb and path; {names} in it are parts of the call."""

    def register(run: Run) -> Run:
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
        OPERATIONS.append(Operation(method, path, rights, run, generation, pattern))
        return run

    return register


def find(method: str, path: str, generations: frozenset[Generation]) -> tuple[Operation, Mapping[str, str]] | str:
    """The operation and the parts of its path, or why not: `path` unknown, or known with another `verb`.

    A fixed path wins over one with a name in that place: `/vpn/defaultValue` is not the VPN with that id.
    """
    matches = [
        (one, match.groupdict())
        for one in OPERATIONS
        if one.generation in generations and (match := one.pattern.fullmatch(path)) is not None
    ]
    fitting = [(one, parts) for one, parts in matches if one.method == method]
    if fitting:
        return min(fitting, key=lambda found: len(found[1]))
    return "verb" if matches else "path"


def required(call: Call, name: str) -> Any:
    """A field of the body that must be there."""
    if call.body.get(name) is None:
        raise invalid(name)
    return call.body[name]


def gone(call: Call, code: int) -> Nothing:
    """Deleting what is not there: success, or this code (sheet 10.5)."""
    if call.controller.strictness.delete_unknown == "refused":
        raise Refused(code)
    return NOTHING
