"""How a shell script's `wg` reaches the simulator: one tiny client under many names, one socket per host.

The client hands its standard streams over (SCM_RIGHTS) and waits for an exit status, so that all state stays in this
process and an invocation costs little more than the start of a bare interpreter (10 ms, measured with CPython 3.11).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ._call import Call, Refused, Replace

SOCKET: Final = "standins.sock"

_CLIENT: Final = """\
import sys, posix, _socket
root = {root!r}
here = posix.getcwd()
name = sys.argv[0].rpartition("/")[2]
uid = posix.environ.get(b"FLEET_SIM_UID", b"0")
words = [name.encode(), here.encode("utf-8", "surrogateescape"), uid]
words += [word.encode("utf-8", "surrogateescape") for word in sys.argv[1:]]
line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
posix.chdir(root)
try:
    line.connect({socket!r})
except OSError:
    posix.write(2, name.encode() + b": the simulated host is off\\n")
    posix._exit(255)
body = b"\\0".join(words)
fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
head = len(body).to_bytes(4, "big")
line.sendmsg([head], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
line.sendall(body)
reply = b""
while len(reply) < 4 or len(reply) < 4 + int.from_bytes(reply[2:4], "big"):
    part = line.recv(65536)
    if not part:
        posix._exit(255)
    reply += part
if reply[0]:
    argv = reply[4:].split(b"\\0")
    posix.chdir(here)
    env = dict(posix.environ)
    env[b"FLEET_SIM_UID"] = argv.pop(0)
    posix.execve(argv[0], argv[1:], env)
posix._exit(reply[1])
"""


def install_client(directory: Path, root: Path) -> Path:
    """Write the client; links to it under a tool's name are that tool."""
    client = directory / ".standin"
    interpreter = os.path.realpath(sys.executable)
    program = _CLIENT.format(root=str(root), socket=SOCKET)
    if len(interpreter) < 110 and " " not in interpreter:
        client.write_text(f"#!{interpreter} -ISE\n{program}")
    else:  # a shebang line is cut at 127 bytes on older kernels
        (directory / ".standin.py").write_text(program)
        client.write_text(f'#!/bin/sh\nexec "{interpreter}" -ISE -c \'import sys; sys.argv = sys.argv[1:]; '
                          f'exec(open("{directory}/.standin.py").read())\' "$0" "$@"\n')  # fmt: skip
    client.chmod(0o755)
    return client


class StandInServer:
    """Answers the clients of one host, one thread per invocation."""

    def __init__(self, root: Path, run: Callable[[Call], int], make: Callable[..., Call]) -> None:
        self._run = run
        self._make = make
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._bind(root)
        self._listener.listen(64)
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="standins", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering; clients that still wait exit with 255."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _bind(self, root: Path) -> None:
        path = root / SOCKET
        if len(os.fsencode(path)) < 100:
            self._listener.bind(str(path))
            return
        # A socket's address holds 108 bytes on Linux and test directories are longer; the client uses a relative name.
        directory = os.open(root, os.O_RDONLY)
        try:
            self._listener.bind(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.close(directory)

    def _accept(self) -> None:
        while not self._closed:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), name="standin", daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line:
            fds: list[int] = []
            try:
                head, fds, _, _ = socket.recv_fds(line, 4, 3)
                if len(head) < 4 or len(fds) != 3:
                    return
                words = self._body(line, struct.unpack(">I", head)[0])
                if words is not None:
                    self._answer(line, words, (fds[0], fds[1], fds[2]))
            except OSError:
                return  # the client was killed
            finally:
                for fd in fds:
                    os.close(fd)

    def _body(self, line: socket.socket, size: int) -> list[str] | None:
        body = b""
        while len(body) < size:
            part = line.recv(min(65536, size - len(body)))
            if not part:
                return None
            body += part
        return [word.decode("utf-8", "surrogateescape") for word in body.split(b"\0")]

    def _answer(self, line: socket.socket, words: list[str], fds: tuple[int, int, int]) -> None:
        name, cwd, uid, *argv = words
        call = self._make(name, argv, Path(cwd), int(uid), fds)
        call.pid = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        try:
            code = self._run(call)
        except Replace as replace:
            call.flush()
            argv = [str(replace.uid), *replace.argv]
            body = b"\0".join(word.encode("utf-8", "surrogateescape") for word in argv)
            line.sendall(bytes([1, 0]) + struct.pack(">H", len(body)) + body)
            return
        call.flush()
        line.sendall(bytes([0, code & 255, 0, 0]))


def guarded(tool: Callable[[Call], int | None], call: Call) -> int:
    """Run a tool and turn its refusal into words and an exit status."""
    try:
        return tool(call) or 0
    except Refused as refused:
        if refused.words:
            call.err(refused.words)
        return refused.code
