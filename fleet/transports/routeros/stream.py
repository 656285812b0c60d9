"""Sentences on a socket: words out of chunks, deadlines, and one kind of failure."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from typing import Final

from librouteros.exceptions import ProtocolError
from librouteros.protocol import decode_length, determine_length

from ..tls import why

__all__ = ["Broken", "SentenceReader", "Silent", "Stream", "fatal_text", "why"]

LONGEST_WORD: Final = 1 << 24
"""Bytes. No RouterOS value comes near it; a longer one means that the stream is not what we think it is."""


LONGER: Final = 0x80
"""Below it the first byte is the length itself (sheet 1.1), which nearly every word has: reading them is most of our work."""


class Broken(Exception):
    """The stream ended or cannot be understood. The text says why and quotes nothing but the reason of a `!fatal`."""


class Silent(Broken):
    """The stream ended, or nothing came in time, before the router had said anything at all."""


class SentenceReader:
    """Sentences out of bytes in pieces of any size. Raises ProtocolError for what cannot be the API (sheet 1.1)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._words: list[str] = []

    def feed(self, received: bytes) -> None:
        """Add bytes as they came from the socket."""
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += received

    def next(self) -> list[str] | None:
        """The next whole sentence with at least one word, None until more bytes are fed."""
        while (word := self._word()) is not None:
            if word:
                self._words.append(word)
            elif self._words:  # an empty sentence is ignored (sheet 1.1)
                sentence, self._words = self._words, []
                return sentence
        return None

    def _word(self) -> str | None:
        buffer, at = self._buffer, self._at
        if at >= len(buffer):
            return None
        length, begin = buffer[at], at + 1
        if length >= LONGER:
            begin += determine_length(buffer[at : at + 1])
            if begin > len(buffer):
                return None
            length = decode_length(bytes(buffer[at:begin]))
            if length > LONGEST_WORD:
                raise ProtocolError(f"a word of {length} bytes")
        if begin + length > len(buffer):
            return None
        raw = bytes(buffer[begin : begin + length])
        self._at = begin + length
        if not self._words and raw[:1] not in (b"!", b""):
            raise ProtocolError("a sentence that is no reply")
        return _decoded(raw)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        # Comments written by old clients are latin-1 (sheet 1.1); a comment must not make a router unreadable.
        return raw.decode("latin-1")


class Stream:
    """A socket that carries sentences. Every failure is a Broken."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = SentenceReader()
        self._heard = False

    def write(self, octets: bytes, deadline: float) -> None:
        """Send all of it before `deadline`, a monotonic second. Raises Broken, Silent."""
        try:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            self._socket.sendall(octets)
        except (OSError, ValueError) as error:
            raise self._failure(error) from None

    def sentence(self, deadline: float) -> list[str]:
        """The next sentence. Raises Broken at the deadline (time.monotonic), Silent if nothing ever came."""
        try:
            while (sentence := self._reader.next()) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                self._hear(self._socket.recv(65536))
        except ProtocolError:
            raise Broken("it answers with something that is not the RouterOS API") from None
        except (OSError, ValueError) as error:
            raise self._failure(error) from None
        return sentence

    def probe(self) -> None:
        """Raise Broken if the router has closed or talked meanwhile, so that nothing is written into a dead stream."""
        try:
            self._socket.settimeout(0)
            self._hear(self._socket.recv(65536))
            sentence = self._reader.next()
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            return
        except ProtocolError:
            sentence = None
        except (OSError, ValueError) as error:
            raise Broken(why(error)) from None
        raise Broken(fatal_text(sentence) if sentence and sentence[0] == "!fatal" else "it talks without being asked")

    def close(self) -> None:
        """Close the socket; never raises."""
        with suppress(OSError):
            self._socket.close()

    def _failure(self, error: Exception) -> Broken:
        return (Broken if self._heard else Silent)(why(error))

    def _hear(self, received: bytes) -> None:
        if not received:
            raise ConnectionError
        self._heard = True
        self._reader.feed(received)


def fatal_text(sentence: list[str]) -> str:
    """What a `!fatal` sentence says, as a clause."""
    # The reason is a bare word (sheet 1.2); a tag may stand before or after it.
    reason = ", ".join(word for word in sentence[1:] if not word.startswith((".", "=")))
    return f"the router ended the session: {reason or 'no reason given'}"
