"""One connection of the SSH server: authentication, exec channels, forwarded connections."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING

import paramiko
from paramiko import common

from ._sshfaults import SlowWire
from ._sshterminal import Terminal

if TYPE_CHECKING:
    from .sshd import ShellHandler, SshServer


_SUCCESS = bytes([99])  # SSH_MSG_CHANNEL_SUCCESS, RFC 4254


class ChannelInput:
    """Standard input of a command as it arrives; keeps what was read."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.taken = b""

    @property
    def gone(self) -> bool:
        """True when the client left: its channel or the whole connection is closed."""
        return bool(self._channel.closed) or not self._channel.get_transport().is_active()

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes as soon as some are there, b"" at the end; without a size everything up to the end."""
        if size < 0:
            parts = []
            while part := self.read(65536):
                parts.append(part)
            return b"".join(parts)
        try:
            part = self._channel.recv(size)
        except OSError:
            return b""
        self.taken += part
        return part


class Connection(paramiko.ServerInterface):
    """One TCP connection with everything on it."""

    def __init__(self, server: SshServer, end: socket.socket, wire: SlowWire | None) -> None:
        self._server = server
        self._end = end
        self._wire = wire
        self._transport = paramiko.Transport(end)
        self._transport.add_server_key(server.host_key)
        if server.banner:
            self._transport.local_version = f"SSH-2.0-{server.banner}"
        self._environments: dict[int, dict[str, str]] = {}
        self._targets: dict[int, socket.socket] = {}
        self._accepted: dict[int, threading.Event] = {}
        self._sessions = 0
        self._counted = False
        self._username = ""
        self._terminals: dict[int, tuple[str, int, int]] = {}
        self._watch_success()

    def start(self) -> None:
        """Negotiate and serve until the client leaves."""
        threading.Thread(target=self._run, name="sshd-connection", daemon=True).start()

    def _watch_success(self) -> None:
        # paramiko answers "success" after check_channel_exec_request returns; a fast command must not overtake that answer.
        send = self._transport._send_user_message  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public place

        def watched(message: paramiko.Message) -> None:
            send(message)
            packet = message.asbytes()
            if packet[:1] == _SUCCESS:
                # The number in the message is the client's; of this connection's waiting channels only one is being answered.
                for event in list(self._accepted.values()):
                    event.set()

        self._transport._send_user_message = watched  # type: ignore[attr-defined]  # noqa: SLF001

    def drop(self) -> None:
        """Lose the connection: no goodbye."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        if self._wire is not None:
            self._wire.close()
        self._transport.close()

    def _run(self) -> None:
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._transport.start_server(server=self, event=threading.Event())
            while self._transport.is_alive():
                channel = self._transport.accept(0.25)
                target = None if channel is None else self._targets.pop(channel.get_id(), None)
                if channel is not None and target is not None:
                    pump = threading.Thread(target=_pump, args=(channel, target), name="sshd-forward", daemon=True)
                    pump.start()
        self._transport.close()
        self._server.forget(self)

    # --- authentication ------------------------------------------------------------------------------------------------

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_password(self, username: str, password: str) -> int:
        self._username = username
        return self._answer(self._server.passwords.get(username) == password)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._username = username
        return self._answer(f"{key.get_name()} {key.get_base64()}" in self._server.authorized)

    def _answer(self, right: bool) -> int:
        if not right or self._server.faults.refuse_auth:
            return common.AUTH_FAILED
        return common.AUTH_SUCCESSFUL

    # --- exec ----------------------------------------------------------------------------------------------------------

    def _logged_in(self) -> None:
        # A public key is asked for twice (would it do, then signed), so a login is counted by the first channel.
        if not self._counted:
            self._counted = True
            self._server.logins += 1

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._logged_in()
        if kind != "session":
            return common.OPEN_FAILED_UNKNOWN_CHANNEL_TYPE
        if self._sessions >= self._server.faults.max_sessions:
            return common.OPEN_FAILED_CONNECT_FAILED
        self._sessions += 1
        return common.OPEN_SUCCEEDED

    def check_channel_env_request(self, channel: paramiko.Channel, name: str | bytes, value: str | bytes) -> bool:
        text = name.decode() if isinstance(name, bytes) else name
        if not text.startswith(("LC_", "LANG")):  # AcceptEnv of every distribution
            return False
        self._environments.setdefault(channel.get_id(), {})[text] = value.decode() if isinstance(value, bytes) else value
        return True

    def check_channel_pty_request(
        self, channel: paramiko.Channel, term: bytes, width: int, height: int, *pixels_and_modes: object
    ) -> bool:
        self._terminals[channel.get_id()] = (term.decode(errors="replace"), width, height)
        return self._server.shell is not None

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        if self._server.shell is None:
            return False
        with self._server.lock:
            self._server.shells += 1
        self._accepted[channel.get_id()] = threading.Event()
        threading.Thread(target=self._shell, args=(channel, self._server.shell), name="sshd-shell", daemon=True).start()
        return True

    def _shell(self, channel: paramiko.Channel, shell: ShellHandler) -> None:
        self._accepted[channel.get_id()].wait(10)
        del self._accepted[channel.get_id()]
        terminal = Terminal(channel, self._username, *self._terminals.get(channel.get_id(), ("dumb", 80, 24)))
        try:
            with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
                shell(terminal)
                channel.send_exit_status(0)
        finally:
            self._sessions -= 1
            with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
                channel.close()

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        limit = self._server.faults.command_limit
        if limit is not None and len(command) > limit:
            if self._server.faults.long_command_drops:
                self.drop()
            return False
        with self._server.lock:
            self._server.execs += 1
            number = self._server.execs
        self._accepted[channel.get_id()] = threading.Event()
        threading.Thread(target=self._exec, args=(channel, command, number), name="sshd-exec", daemon=True).start()
        return True

    def _exec(self, channel: paramiko.Channel, command: bytes, number: int) -> None:
        faults = self._server.faults
        text = command.decode("utf-8", "surrogateescape")
        self._accepted[channel.get_id()].wait(10)
        del self._accepted[channel.get_id()]
        self._server.commands.append(text)
        if faults.drop_before_exec == number:
            self.drop()
            return
        stdin = ChannelInput(channel)
        out, error, code = self._server.handler(text, stdin, self._environments.get(channel.get_id(), {}))
        self._server.stdins.append(stdin.taken)
        if faults.drop_after_exec == number:
            self.drop()
        elif faults.stall_exec != number:
            self._sessions -= 1
            with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
                channel.sendall(out)
                channel.sendall_stderr(error)
                channel.send_exit_status(code)
                channel.close()

    # --- forwarding ----------------------------------------------------------------------------------------------------

    def check_channel_direct_tcpip_request(self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]) -> int:
        self._logged_in()
        if self._server.faults.refuse_forwarding:
            return common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        where = self._server.forward(*destination)
        if where is None:
            return common.OPEN_FAILED_CONNECT_FAILED
        try:
            self._targets[chanid] = socket.create_connection(where, timeout=10)
        except OSError:
            return common.OPEN_FAILED_CONNECT_FAILED
        self._server.forwarded += 1
        return common.OPEN_SUCCEEDED


def _pump(channel: paramiko.Channel, target: socket.socket) -> None:
    """Carry bytes both ways until either side ends."""
    target.settimeout(None)
    with contextlib.suppress(OSError, paramiko.SSHException, EOFError), target:
        both: list[paramiko.Channel | socket.socket] = [channel, target]
        while True:
            ready, _, _ = select.select(both, [], [], 1.0)
            if channel in ready:
                part = channel.recv(65536)
                if not part:
                    break
                target.sendall(part)
            if target in ready:
                part = target.recv(65536)
                if not part:
                    break
                channel.sendall(part)
            if not ready and channel.closed:
                break
    with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
        channel.close()
