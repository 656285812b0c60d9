"""Routers that the tests of the simulator share, and how they are talked to."""

from __future__ import annotations

from fleet.testing.edgeos import EdgeOsSimulator, Terminal
from fleet.testing.ether import Clock

PEER = "F8ljnavPD+lrVeEfXP4kZqC5ED0KYRj7+FjT3qGrYQU="
OTHER = "LwWmWOGF7fdjIJSv8i+tdgEH+BBo2Tje2/TFjc59ohE="
THIRD = "Z1y4g+tBZJIvIIZL7SkKYXZ+nHQWc+xCHMeOFh+8AX8="

RECORDED = """\
interfaces {
    ethernet eth0 {
        address 10.213.77.2/30
    }
}
system {
    config-management {
        commit-revisions 50
    }
}
"""
"""The configuration the recordings begin with, as far as they show it."""

MAKE_KEY = "sg vyattacfg -c 'umask 027; wg genkey > /config/auth/wg0.key'"
SAYING = 'W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; r() { "$W" "$@"; echo "rc=$? : $*"; }\n'


def recorded_router(config: str = RECORDED) -> EdgeOsSimulator:
    """The router of the recordings, with a key."""
    router = EdgeOsSimulator("edge", clock=Clock(frozen=True), config=config)
    router.ok(MAKE_KEY)
    return router


def scripted(router: EdgeOsSimulator, lines: str, *, group: bool = True) -> str:
    """Run wrapper verbs, one a line, in one shell and one session; everything said, with `rc=N : verb` after each."""
    body = SAYING + "".join(f"r {line}\n" for line in lines.strip().splitlines())
    command = "cat >/tmp/w.sh; " + ("sg vyattacfg -c 'bash /tmp/w.sh'" if group else "bash /tmp/w.sh")
    out, error, _ = router.run(command, body.encode())
    return (out + error).decode()


def plain(text: str) -> str:
    """As the recordings are written: no carriage returns, escapes by name."""
    return text.replace("\r", "").replace("\x1b", "<ESC>")


def said(terminal: Terminal, line: str) -> str:
    """What appears between a line typed and the next prompt."""
    return plain(terminal.send(line)).removeprefix(line + "\n").removesuffix(plain(terminal.prompt))


def configure(router: EdgeOsSimulator, lines: str) -> None:
    """Set lines, commit, save. Raises AssertionError with what the router said."""
    verbs = [line if line.split()[0] in {"set", "delete"} else f"set {line}" for line in lines.strip().splitlines()]
    said = scripted(router, "\n".join(["begin", *verbs, "commit", "save", "end"]))
    assert "rc=1" not in said, said


TUNNEL = f"""\
interfaces wireguard wg0 address 10.77.0.1/24
interfaces wireguard wg0 listen-port 51820
interfaces wireguard wg0 private-key /config/auth/wg0.key
interfaces wireguard wg0 route-allowed-ips false
interfaces wireguard wg0 peer {PEER} allowed-ips 10.77.0.2/32
interfaces wireguard wg0 peer {PEER} endpoint 203.0.113.9:51820
"""
