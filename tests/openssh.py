"""A real OpenSSH server on loopback for one test, with everything it writes below a temporary directory."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.link import Access, Address
from fleet.model import Secret

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True)
class OpenSsh:
    """A running server: where, its host key lines by type, and a private key that may log in."""

    address: Address
    host_keys: dict[str, str]
    client_key: Secret
    username: str
    pid: int

    def access(self, router: str = "mumbai", **changes: object) -> Access:
        known = {"username": self.username, "ssh_key": self.client_key, "host_keys": tuple(self.host_keys.values())}
        return Access(router, (self.address,), **{**known, **changes})  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def openssh(folder: Path, types: Sequence[str] = ("ed25519",), extra: str = "") -> Iterator[OpenSsh]:
    """Start it, wait until it shows its banner, end it. Skips the test where there is no OpenSSH server."""
    if not Path(SSHD).exists():
        pytest.skip("no OpenSSH server is installed")
    folder.mkdir(exist_ok=True)
    for kind in types:
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", folder / kind], check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "client"], check=True)
    port = free_port()
    (folder / "config").write_text(
        "\n".join(
            [
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                *(f"HostKey {folder / kind}" for kind in types),
                f"AuthorizedKeysFile {folder / 'client.pub'}",
                *("PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes"),
                *("KbdInteractiveAuthentication no", "MaxStartups 100", extra),
            ]
        )
    )
    command = [SSHD, "-D", "-e", "-f", str(folder / "config")]
    if os.getuid() == 0 and not Path("/run/sshd").exists():
        if shutil.which("unshare") is None:
            pytest.skip("OpenSSH's server needs /run/sshd, and there is no unshare to give it one of its own")
        inner = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", inner, "sh", *command]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            _await_banner(port, server, folder)
            keys = {kind: " ".join((folder / f"{kind}.pub").read_text().split()[:2]) for kind in types}
            address = Address("127.0.0.1", port)
            username = os.environ.get("USER") or ("root" if os.getuid() == 0 else "nobody")
            yield OpenSsh(address, keys, Secret((folder / "client").read_text()), username, server.pid)
        finally:
            server.terminate()
            server.wait(10)


def _await_banner(port: int, server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.skip(f"OpenSSH's server does not start here: {(folder / 'log').read_text()[-300:]}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                if probe.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.02)
    raise AssertionError((folder / "log").read_text())
