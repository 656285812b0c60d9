"""One API connection of a simulated router: login, tags, interleaving, faults (sheet 1.3, 1.4, 10)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .commands import Account, Answer, Command
from .execute import execute
from .faults import Fault
from .values import Refused
from .words import Decoder, WireError, sentence

if TYPE_CHECKING:
    from .simulator import RouterosSimulator


class Connection(asyncio.Protocol):
    """Bytes in, bytes out; everything on the farm's loop."""

    def __init__(self, router: RouterosSimulator) -> None:
        self._router = router
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._account: Account | None = None
        self._running: dict[str | None, Answer] = {}
        self._stalled = False
        self._answered = True
        self._executed = 0
        self._pieces = bytearray()

    # --- transport -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it; hang up where the service is switched off or full."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._router.counters.connections += 1
        self._router.connections.add(self)
        if not self._router.serves():
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever runs stops; safe mode is undone if it was held here."""
        self._router.connections.discard(self)
        for answer in self._running.values():
            if answer.stop is not None:
                answer.stop()
        self._running.clear()
        self._transport = None
        self._router.hung_up(self, self._account)

    def data_received(self, data: bytes) -> None:
        """Bytes arrive, half a round trip later for the artificial distance and the rest on the way back."""
        self._router.counters.bytes_in += len(data)
        if self._answered:
            self._answered = False
            self._router.counters.round_trips += self._account is not None
        delay = self._router.latency.round_trip
        if delay:
            asyncio.get_running_loop().call_later(delay, self._arrived, bytes(data))
        else:
            self._arrived(data)

    def reset(self) -> None:
        """Hang up with RST."""
        transport = self._transport
        if transport is None:
            return
        raw = transport.get_extra_info("socket")
        if raw is not None and not transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def stall(self) -> None:
        """The path is cut silently: nothing arrives any more in either direction."""
        self._stalled = True

    def push(self, tag: str | None, words: Sequence[str]) -> None:
        """A reply outside the burst: rows of `listen`."""
        self._write(_tagged(words, tag))

    def conclude(self, tag: str | None, answer: Answer) -> None:
        """The end of a command that took its time, unless it was cancelled meanwhile."""
        if self._running.pop(tag, None) is not None:
            self._write(b"".join([_tagged(words, tag) for words in answer.rows] + self._closing(answer, tag)))

    @property
    def session(self) -> int:
        """Number of its row in `/user/active`, 0 before login."""
        return 0 if self._account is None else self._account.session

    # --- sentences -----------------------------------------------------------------------------------------------------

    def _arrived(self, data: bytes) -> None:
        if self._transport is None or self._stalled:
            return
        try:
            sentences = self._decoder.feed(data)
        except WireError:
            self.reset()
            return
        if sentences and self._account is None:
            self._log_in(sentences)
        elif sentences:
            self._burst([Command.of(words, self._user) for words in sentences])

    @property
    def _user(self) -> str:
        return "" if self._account is None else self._account.user

    def _log_in(self, sentences: list[list[str]]) -> None:
        """`/login` alone: what is sent before its answer is refused like any command before login."""
        command = Command.of(sentences[0])
        self._router.heard(command)
        if command.sentence == "/quit":
            self._quit()
            return
        if command.sentence != "/login" or len(sentences) > 1:
            self._fatal("not logged in")
            return
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        source = self._router.seen_as or (peer[0] if peer else "127.0.0.1")
        self._account = self._router.log_in(command.attributes, source, self)
        if self._account is None:
            self._write(_tagged(["!trap", "=message=invalid user name or password (6)"], command.tag))
        self._write(_tagged(["!done"], command.tag))

    def _burst(self, commands: list[Command]) -> None:
        """Run what arrived together; replies of different commands interleave, by seed also the order of execution."""
        random = self._router.shuffle
        if random is not None and all(command.tag is not None for command in commands):
            random.shuffle(commands)
        said: list[list[bytes]] = []
        for command in commands:
            self._router.heard(command)
            fault = self._router.strike(command)
            if command.sentence == "/quit":
                self._write(self._interleaved(said))
                self._quit()
                return
            if fault is not None and fault.kind != "trap":
                self._fail(fault, command, said)
                return
            said.append(self._answer_to(command, fault))
        self._write(self._interleaved(said))

    def _answer_to(self, command: Command, fault: Fault | None = None) -> list[bytes]:
        assert self._account is not None
        self._executed += 1
        if command.sentence == "/cancel":
            return self._cancel(command)
        if command.tag is not None and command.tag in self._running:
            return self._closing(Answer(trap=Refused("tag already in use", 5)), command.tag)
        if fault is not None:
            answer = Answer(trap=Refused(fault.message))
        else:
            answer = self._router.run(self._account, command, execute)
        said = [_tagged(words, command.tag) for words in answer.rows]
        if answer.unfinished:
            self._running[command.tag] = answer
            return said
        return said + self._closing(answer, command.tag)

    def _closing(self, answer: Answer, tag: str | None) -> list[bytes]:
        if answer.trap is None:
            return [_tagged(["!done", *answer.done], tag)]
        return [_tagged(self._router.trap_words(answer.trap), tag), _tagged(["!done"], tag)]

    def _cancel(self, command: Command) -> list[bytes]:
        """`interrupted` on the cancelled, then both are done, the canceller first (sheet 8.4)."""
        wanted = command.attributes.get("tag")
        tags = [wanted] if wanted else list(self._running)
        traps, dones = [], []
        for tag in tags:
            answer = self._running.pop(tag, None)
            if answer is None:
                continue
            if answer.stop is not None:
                answer.stop()
            traps.append(_tagged(["!trap", "=category=2", "=message=interrupted"], tag))
            dones.append(_tagged(["!done"], tag))
        return [*traps, _tagged(["!done"], command.tag), *dones]

    def _fail(self, fault: Fault, command: Command, said: list[list[bytes]]) -> None:
        if fault.kind == "drop_before":
            self._write(self._interleaved(said))
            self.reset()
            return
        answer = b"".join(self._answer_to(command))
        if fault.kind == "reset_mid_reply":
            self._write(self._interleaved(said) + answer[: max(len(answer) // 2, 1)])
        if fault.kind == "stall":
            self._write(self._interleaved(said))
            self.stall()
        else:
            self.reset()

    def _interleaved(self, said: list[list[bytes]]) -> bytes:
        if len(said) == 1:
            return b"".join(said[0])
        random, queues, mixed = self._router.shuffle, [iter(one) for one in said], []
        while queues:
            if random is not None:
                random.shuffle(queues)
            for queue in list(queues):
                following = next(queue, None)
                if following is None:
                    queues.remove(queue)
                else:
                    mixed.append(following)
        return b"".join(mixed)

    # --- out -----------------------------------------------------------------------------------------------------------

    def _quit(self) -> None:
        self._fatal("session terminated on request")

    def _fatal(self, reason: str) -> None:
        """The reason is a bare word; the router closes afterwards (sheet 1.2)."""
        self._write(sentence(["!fatal", reason]))
        if self._transport is not None and not self._pieces:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._stalled:
            return
        latency = self._router.latency
        if latency.knee is not None and self._executed > latency.knee:
            asyncio.get_running_loop().call_later((self._executed - latency.knee) * latency.slow, self._send, data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._answered = True
        self._router.counters.bytes_out += len(data)
        if self._router.pieces is None:
            self._transport.write(data)
            return
        idle = not self._pieces
        self._pieces += data
        if idle:
            self._piece()

    def _piece(self) -> None:
        """A few bytes at a time, so that even lengths arrive split."""
        if self._transport is None or not self._pieces:
            return
        size = 1 if self._router.pieces is None else self._router.pieces.randint(1, 9)
        self._transport.write(bytes(self._pieces[:size]))
        del self._pieces[:size]
        if self._pieces:
            asyncio.get_running_loop().call_soon(self._piece)


def _tagged(words: Sequence[str], tag: str | None) -> bytes:
    return sentence(words if tag is None else [*words, f".tag={tag}"])
