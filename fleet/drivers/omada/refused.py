"""What a controller's no means for an operator: what was seen, then the next action (sheet 1.7, 2.1, 5)."""

from __future__ import annotations

from typing import Final

from ... import Rejected

RIGHTS: Final = (
    "give the application, under Settings > Platform Integration > Open API, the site and a role with 'Site Settings Manager "
    "Modify' and 'Site Device Manager Modify'"
)
AGAIN: Final = "run `fleet sync` again when that is over"
LIMIT: Final = "remove what is not used any more, or use a gateway that holds more"
LOOK: Final = "run `fleet sync` again: it reads first what is there now"

SAID: Final[dict[int, tuple[str, str]]] = {
    -1005: ("the role of the application does not allow this", RIGHTS),
    -1505: ("the application may not access this site", RIGHTS),
    -30028: ("another backup, copy or restore runs on the controller", AGAIN),
    -30301: ("the site is being backed up", AGAIN),
    -30304: ("the site is being restored", AGAIN),
    -33000: ("the controller does not have this site any more", "check `options: {site: ...}`"),
    -33004: ("the site is busy (copy, restore or template synchronisation)", AGAIN),
    -33006: ("the name is used by another VPN of this site", "rename that VPN in the controller, or set another `interface:`"),
    -33474: ("WireGuard is not possible on a WAN of kind DS-Lite or MAP-E", "give the gateway another kind of WAN"),
    -39050: ("the controller does not have this gateway any more", LOOK),
    -39051: ("the gateway cannot be provisioned now", AGAIN),
    -43200: ("the gateway holds no more WireGuard interfaces", LIMIT),
    -43201: ("the WireGuard interface was deleted meanwhile", LOOK),
    -43202: ("the gateway holds no more WireGuard peers", LIMIT),
    -43203: ("the WireGuard peer was deleted meanwhile", LOOK),
    -43204: (
        "the port is used by another VPN of this site",
        "set another `listen_port:`, or change that VPN in the controller",
    ),
    -43205: ("the interface has a peer with this public key already", LOOK),
    -43206: ("the gateway takes no name as endpoint", "give the hub an address as endpoint, or upgrade the gateway"),
    -43207: ("an endpoint and its port must come together", "report it: this is fleet's mistake"),
    -43208: ("the gateway does not support WireGuard", "upgrade its firmware, or replace it by a model that does (README)"),
}

READS: Final = frozenset({-1005, -1505, -33000, -33004})
WRITES: Final = frozenset(SAID)
CREATES: Final = frozenset({-1})


def judge(code: object, words: object) -> None:
    """Raises Rejected for a code that has a meaning here."""
    if isinstance(code, int) and code in SAID:
        seen, cure = SAID[code]
        raise Rejected(f"refused by the controller: {seen} ({code})", cure, evidence=f"{words} ({code})")
