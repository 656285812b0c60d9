"""A small SSH server in process that can be made to misbehave: what OpenSSH would never do on request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import paramiko

from fleet.link import Access, Address
from fleet.model import Secret

Command = Callable[["paramiko.Channel", str], None]


def say(text: bytes, code: int = 0) -> Command:
    """A command that prints and ends."""

    def run(channel: paramiko.Channel, _: str) -> None:
        channel.sendall(text)
        channel.send_exit_status(code)

    return run


@dataclass
class SshServer:
    """What it accepts and how it answers; counts what happened."""

    password: str = "correct"
    keys: list[str] = field(default_factory=list)
    methods: str = "publickey,password"
    second_factor: bool = False
    execs: bool = True
    command: Command = field(default_factory=lambda: say(b""))
    address: Address = field(default_factory=lambda: Address("127.0.0.1", 0))
    host_key: paramiko.PKey = field(default_factory=lambda: paramiko.ECDSAKey.generate())
    connections: list[paramiko.Transport] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    @property
    def identity(self) -> str:
        return f"{self.host_key.get_name()} {self.host_key.get_base64()}"

    def access(self, router: str = "mumbai", **changes: object) -> Access:
        known = {"username": "fleet", "password": Secret(self.password), "host_keys": (self.identity,)}
        return Access(router, (self.address,), **{**known, **changes})  # type: ignore[arg-type]

    def hang_up(self) -> None:
        for connection in self.connections:
            connection.close()


class _Behaviour(paramiko.ServerInterface):
    def __init__(self, server: SshServer) -> None:
        self.server = server

    def get_allowed_auths(self, username: str) -> str:
        return self.server.methods

    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if self.server.methods == "none" else paramiko.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        right = "password" in self.server.methods and password == self.server.password
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if f"{key.get_name()} {key.get_base64()}" not in self.server.keys:
            return paramiko.AUTH_FAILED
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL if self.server.second_factor else paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.server.commands.append(command.decode())
        if self.server.execs:
            threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return self.server.execs

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            self.server.command(channel, command)
            channel.close()


@contextmanager
def serving(server: SshServer) -> Iterator[SshServer]:
    """Listen on loopback until the test is over."""
    listener = socket.create_server(("127.0.0.1", 0))
    server.address = Address("127.0.0.1", listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(server.host_key)
            server.connections.append(transport)
            transport.start_server(event=threading.Event(), server=_Behaviour(server))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        server.hang_up()
