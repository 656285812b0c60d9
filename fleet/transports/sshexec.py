"""One command on one SSH channel, without deadlock and with one deadline for the whole exchange."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import paramiko

CHUNK: Final = 1 << 16


def close_quietly(channel: paramiko.Channel) -> None:
    """Close a channel; on a connection that is dead already there is nobody to tell."""
    with suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()


class _Wake(threading.Event):
    """Set whenever one of several buffers has news; the buffers' own clearing would hide the other's news."""

    def clear(self) -> None:
        """Ignored when a buffer runs empty."""

    def rest(self, seconds: float) -> None:
        """Wait for news, at most `seconds`."""
        self.wait(seconds)
        super().clear()


class Answered(threading.Event):
    """The event that paramiko waits on for the answer to a channel request, which it does without any time limit."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the deadline. Raises TimeoutError."""
        if not super().wait(max(0.0, self._deadline - time.monotonic())):
            raise TimeoutError
        return True


class Exchange:
    """One command on one channel: feeds standard input and drains both outputs in turn, so that no side can block.

    A router that writes much before it reads, or the other way round, fills a window; whoever waits for one direction only
    waits for ever. All methods raise TimeoutError at the deadline.
    """

    WINDOW_POLL = 0.01
    """Seconds between looks at a full send window: paramiko has no event for its opening that leaves reading free."""

    def __init__(self, channel: paramiko.Channel, deadline: float) -> None:
        self._channel = channel
        self._deadline = deadline
        self._wake = _Wake()

    def start(self, command: str) -> None:
        """Send the command and await the router's consent."""
        self._channel.event = Answered(self._deadline)
        try:
            self._channel.exec_command(command)
        except paramiko.SSHException:
            # Servers built on paramiko itself may run a quick command to its end before they consent to it.
            if self._channel.exit_status < 0:
                raise

    def finish(self, stdin: bytes) -> tuple[bytes, bytes]:
        """Feed `stdin`, collect standard output and standard error until the command ends."""
        output, error = bytearray(), bytearray()
        self._channel.in_buffer.set_event(self._wake)
        self._channel.in_stderr_buffer.set_event(self._wake)
        left = memoryview(stdin)
        fed = False
        while True:
            if not fed:
                left = self._feed(left)
                fed = not left
                if fed:
                    self._channel.shutdown_write()
            ended = self._channel.eof_received or self._channel.closed
            output += self._drained(self._channel.recv_ready, self._channel.recv)
            error += self._drained(self._channel.recv_stderr_ready, self._channel.recv_stderr)
            if ended:
                break
            self._wake.rest(self._left() if fed else min(self._left(), self.WINDOW_POLL))
        if not self._channel.status_event.wait(self._left()):
            raise TimeoutError
        return bytes(output), bytes(error)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _feed(self, left: memoryview) -> memoryview:
        """Send what the router's window takes now; what is left to send, nothing once the command reads no more."""
        while left and self._channel.send_ready():
            try:
                sent = self._channel.send(left[:CHUNK].tobytes())
            except OSError:
                return left[:0]  # the command ended without reading its input: its exit code says whether that is bad
            if not sent:
                return left[:0]
            left = left[sent:]
        return left

    @staticmethod
    def _drained(ready: Callable[[], bool], receive: Callable[[int], bytes]) -> bytes:
        """All that is there now. `receive` is the channel's own, so that the router's window opens again."""
        parts = []
        while ready():
            parts.append(receive(CHUNK))
        return b"".join(parts)
