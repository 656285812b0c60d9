"""One logged-in connection: up to 16 tagged commands in flight, each with its own reply, refusal or loss."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from librouteros.protocol import encode_sentence

from ...errors import ConnectionLost, Rejected, RouterError
from ...link import Address, Reply, Request, Words
from ...model import Secret
from .stream import Broken, Stream, fatal_text

WINDOW: Final = 16
"""Commands in flight: more hang or slow a router (sheet 1.4, 7.22.1 and CHR 7.23.2)."""

SHOWN: Final = 300
"""Characters of a request that an error shows."""


@dataclass(slots=True)
class _Flight:
    """A command in flight: which request it is, when it is given up, and what has come back so far."""

    index: int
    request: Words
    expires: float
    rows: list[dict[str, str]] = field(default_factory=list)
    traps: list[dict[str, str]] = field(default_factory=list)


class RouterosSession:
    """One logged-in API connection. Not for use by two threads at once."""

    def __init__(self, stream: Stream, address: Address, identity: str) -> None:
        self.address = address
        self.identity = identity
        self._stream: Stream | None = stream
        self._tag = 0

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        """At most 16 in flight; the timeout of a request runs from when it was written.

        A refusal is Rejected with the router's own words. When the stream breaks, requests in flight get
        ConnectionLost(sent=True), those not written yet ConnectionLost(sent=False), and the session is over.
        """
        waiting = deque(enumerate(_as_words(request) for request in requests))
        flying: dict[str, _Flight] = {}
        answers: dict[int, Reply | RouterError] = {}
        reason = "the connection is closed"
        if (stream := self._stream) is not None:
            try:
                stream.probe()
                while waiting or flying:
                    self._launch(stream, waiting, flying)
                    _land(stream.sentence(min(flight.expires for flight in flying.values())), flying, answers)
            except Broken as broken:
                reason = str(broken)
                self.close()
        for flight in flying.values():
            answers[flight.index] = _lost(flight.request, reason, sent=True)
        for index, request in waiting:
            answers[index] = _lost(request, reason, sent=False)
        return [answers[index] for index in range(len(requests))]

    def close(self) -> None:
        """Close the socket. No `/quit`: over TLS it is not answered (sheet 1.3)."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _launch(self, stream: Stream, waiting: deque[tuple[int, Words]], flying: dict[str, _Flight]) -> None:
        octets = b""
        now = time.monotonic()
        while waiting and len(flying) < WINDOW:
            index, request = waiting.popleft()
            self._tag += 1
            flying[str(self._tag)] = _Flight(index, request, now + request.timeout)
            octets += _encoded(request, self._tag)
        if octets:
            stream.write(octets, min(flight.expires for flight in flying.values()))


def _as_words(request: Request) -> Words:
    if not isinstance(request, Words):
        raise TypeError(f"transport routeros carries Words, not {type(request).__name__}")
    return request


def _encoded(request: Words, tag: int) -> bytes:
    attributes = [f"={name}={value.reveal() if isinstance(value, Secret) else value}" for name, value in request.attributes]
    octets: bytes = encode_sentence(request.command, *attributes, *request.queries, f".tag={tag}", encoding="UTF-8")
    return octets


def _land(sentence: list[str], flying: dict[str, _Flight], answers: dict[int, Reply | RouterError]) -> None:
    """Give one reply sentence to the command it belongs to. Raises Broken if there is none or it makes no sense."""
    kind = sentence[0]
    if kind == "!fatal":
        raise Broken(fatal_text(sentence))
    tag, words = _parsed(sentence)
    flight = flying.get(tag)
    if flight is None:
        raise Broken("it answers a question that was not asked")
    if kind == "!re":
        flight.rows.append(words)
    elif kind == "!trap":
        flight.traps.append(words)  # several may come before the one !done (sheet 1.2)
    elif kind == "!done":
        del flying[tag]
        answers[flight.index] = _refused(flight) if flight.traps else Reply(rows=tuple(flight.rows), value=words.get("ret"))
    elif kind != "!empty":  # 7.18 and later, before !done; nothing to note, rows stay empty
        raise Broken(f"it answers with {kind[:20]!r}, which is no reply word")


def _parsed(sentence: list[str]) -> tuple[str, dict[str, str]]:
    tag, words = "", {}
    for word in sentence[1:]:
        name, equals, value = word[1:].partition("=")
        if word[0] == "=" and equals:
            words[name] = value
        elif word[0] == "." and equals:
            tag = value if name == "tag" else tag
        else:
            # Seen rarely in the field (sheet 1.8); what follows cannot be trusted either.
            raise Broken("it sent a word that is no attribute")
    return tag, words


def _refused(flight: _Flight) -> Rejected:
    said = "; ".join(_trap_text(trap) for trap in flight.traps)
    for _name, value in flight.request.attributes:
        if isinstance(value, Secret) and value.reveal():
            said = said.replace(value.reveal(), str(value))
    return Rejected(f"refused `{_brief(flight.request.native())}`: {said}", _cure(said), evidence=said)


def _brief(native: str) -> str:
    """A request on the one line of an error: of one that carries a script, its beginning."""
    line = native.partition("\n")[0][:SHOWN]
    return native if line == native else f"{line}..."


def _trap_text(trap: dict[str, str]) -> str:
    message = ", ".join(trap.get("message", "no reason given").split("\r\n"))
    return message + (f" (category {trap['category']})" if "category" in trap else "")


def _cure(said: str) -> str:
    if "not enough permissions" in said or "not allowed" in said:
        return "give the group of this account the policies that the README lists; they count from the next login"
    return "`fleet plan` reads again and shows what is still missing"


def _lost(request: Words, reason: str, *, sent: bool) -> ConnectionLost:
    state = "before an answer came to" if sent else "before sending"
    return ConnectionLost(
        f"connection lost {state} {request.command}: {reason}",
        "`fleet sync` again: it reads first what has landed" if sent and not request.reads else "try again",
        sent=sent,
    )
