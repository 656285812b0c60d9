"""The simulator's own codec of the RouterOS API wire format (sheet 1.1): words with a length prefix, sentences of words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_WORD: Final = 16 * 1024 * 1024


class WireError(Exception):
    """The client sent what the protocol does not allow; the router hangs up."""


def length(size: int) -> bytes:
    """Length prefix of 1 to 5 bytes, big-endian."""
    if size < 0x80:
        return bytes((size,))
    if size < 0x4000:
        return (size | 0x8000).to_bytes(2, "big")
    if size < 0x200000:
        return (size | 0xC00000).to_bytes(3, "big")
    if size < 0x10000000:
        return (size | 0xE0000000).to_bytes(4, "big")
    return b"\xf0" + size.to_bytes(4, "big")


def sentence(words: Iterable[str]) -> bytes:
    """One sentence with its terminator. Values are UTF-8; bytes that are not survive as they came."""
    parts: list[bytes] = []
    for word in words:
        encoded = word.encode("utf-8", "surrogateescape")
        parts.append(length(len(encoded)))
        parts.append(encoded)
    parts.append(b"\0")
    return b"".join(parts)


class Decoder:
    """Sentences out of bytes that arrive in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._words: list[str] = []

    def feed(self, piece: bytes) -> list[list[str]]:
        """Every sentence completed by this piece, empty ones left out. Raises WireError."""
        buffer = self._buffer
        buffer += piece
        sentences: list[list[str]] = []
        at = 0
        while True:
            header = self._header(at)
            if header is None:
                break
            size, start = header
            if len(buffer) < start + size:
                break
            at = start + size
            if size:
                self._words.append(buffer[start:at].decode("utf-8", "surrogateescape"))
            elif self._words:
                sentences.append(self._words)
                self._words = []
        del buffer[:at]
        return sentences

    def _header(self, at: int) -> tuple[int, int] | None:
        """Size of the word at `at` and where it starts; None until the whole prefix is here."""
        buffer = self._buffer
        if at >= len(buffer):
            return None
        first = buffer[at]
        if first < 0x80:
            return first, at + 1
        if first >= 0xF8:
            raise WireError(f"control byte {first:#x}")
        extra, mask = (1, 0x3F) if first < 0xC0 else (2, 0x1F) if first < 0xE0 else (3, 0x0F) if first < 0xF0 else (4, 0x07)
        if len(buffer) < at + 1 + extra:
            return None
        size = int.from_bytes(buffer[at + 1 : at + 1 + extra], "big") + ((first & mask) << 8 * extra)
        if size > MAX_WORD:
            raise WireError(f"word of {size} bytes")
        return size, at + 1 + extra
