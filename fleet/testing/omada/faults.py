"""What can be made to go wrong between a client and the controller, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from .web import Answered, Asked, as_json

Kind: TypeAlias = Literal[
    "drop_before",
    "drop_after",
    "half",
    "stall",
    "500",
    "html",
    "refuse",
    "expire_token",
    "revoke_token",
    "lost_reply",
    "drop_endpoint",
]
When: TypeAlias = "int | str | Callable[[Asked], bool]"

BEFORE: Final = {"drop_before", "500", "html", "refuse", "expire_token", "revoke_token"}
"""Kinds that happen instead of the operation, or before it."""


LOGIN_PAGE: Final = Answered(200, b"<!DOCTYPE html><html><head><title>Omada</title></head></html>", "text/html")


@dataclass(slots=True)
class Fault:
    """One planned failure.

    drop_before    do nothing, reset the connection
    drop_after     do it, reset the connection instead of a reply
    half           do it, hang up after half of the reply
    stall          do it, say nothing more on this connection
    500            do nothing, HTTP 500
    html           do nothing, HTTP 200 with a login page (sheet 3)
    refuse         do nothing, answer `code` in the envelope
    expire_token   all access tokens have expired when this request comes (-44112)
    revoke_token   all tokens are revoked when this request comes (-44113), as by a restore (sheet 1.6)
    lost_reply     do it, answer `-1` without result (sheet 10.3)
    drop_endpoint  do it, but the endpoints it carries are not stored (sheet 10.1)

    `when`: the nth request from now (1 is the next), `METHOD end-of-path`, or a test of the request; `times` how often.
    """

    when: When
    kind: Kind
    code: int = -1
    times: int = 1
    _seen: int = 0

    def strikes(self, asked: Asked) -> bool:
        """True if this request is hit; counts."""
        self._seen += 1
        if self.times <= 0:
            return False
        if isinstance(self.when, int):
            hit = self._seen >= self.when
        elif isinstance(self.when, str):
            method, _, path = self.when.partition(" ")
            hit = asked.method == method and asked.path.endswith(path)
        else:
            hit = self.when(asked)
        self.times -= hit
        return hit


@dataclass(slots=True)
class Counters:
    """Since the start or the last `reset`. `writes`: settings that were changed; `refused`: errorCode other than 0."""

    requests: int = 0
    logins: int = 0
    reads: int = 0
    writes: int = 0
    refused: int = 0
    too_fast: int = 0
    by_path: dict[str, int] = field(default_factory=dict)

    def reset(self) -> None:
        """All to zero."""
        self.requests = self.logins = self.reads = self.writes = self.refused = self.too_fast = 0
        self.by_path.clear()


def afterwards(fault: Fault, answered: Answered) -> Answered:
    """What becomes of the reply to a request that was looked at."""
    match fault.kind:
        case "drop_after":
            return Answered(manner="reset")
        case "half" | "stall":
            return Answered(answered.status, answered.body, answered.content_type, manner=fault.kind)
        case "lost_reply":
            return as_json({"errorCode": -1, "msg": "General failure."})
        case _:
            return answered
