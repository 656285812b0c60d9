"""What the controller's Open API answers when it says no: numbers and meanings (sheet 1.7, 2.1, 2.2, 5, 6)."""

from __future__ import annotations

from typing import Final

MEANINGS: Final[dict[int, str]] = {
    0: "Success.",
    -1: "General failure.",
    -1001: "Invalid request parameters.",
    -1005: "Operation forbidden.",
    -1200: "You have been logged out.",
    -1505: "You do not have permission to access this site.",
    -1600: "Unsupported request path.",
    -1619: "The batch was interrupted by an earlier action.",
    -1620: "An action of the batch failed.",
    -7131: "Controller ID does not exist.",
    -7132: "Too many requests.",
    -30028: "Another backup, copy or restore runs on this organization.",
    -30109: "Invalid username or password.",
    -30301: "The site is being backed up.",
    -30304: "The site is being restored.",
    -30305: "The restore failed.",
    -33000: "This site does not exist.",
    -33004: "This site is busy: copying, restoring or synchronizing a template.",
    -33006: "This name is already used in this site.",
    -33411: "The gateway is not connected.",
    -33474: "Not available on a DS-Lite or MAP-E WAN.",
    -39050: "This device does not exist.",
    -39051: "This device is not connected.",
    -43200: "The number of WireGuard interfaces has reached its limit.",
    -43201: "This WireGuard interface does not exist.",
    -43202: "The number of WireGuard peers has reached its limit.",
    -43203: "This WireGuard peer does not exist.",
    -43204: "This port is already used.",
    -43205: "The public key is used by another peer of this interface.",
    -43206: "The gateway cannot take a domain as endpoint.",
    -43207: "Endpoint and endpoint port must be given together.",
    -43208: "The gateway does not support WireGuard.",
    -44106: "The client id or client secret is invalid.",
    -44107: "The response type is invalid.",
    -44108: "The CSRF token is invalid.",
    -44109: "The session id is invalid.",
    -44110: "The authorization code has expired.",
    -44111: "The grant type is invalid.",
    -44112: "The access token has expired.",
    -44113: "The access token is invalid.",
    -44114: "The refresh token has expired.",
    -44116: "Authorization failed.",
    -44118: "Only possible in authorization code mode.",
}
"""-39051 is named by the sheet without its meaning (5): here it is a device that is not connected."""


class Refused(Exception):
    """The controller says no: HTTP 200 with this `errorCode`, or `status` where the HTTP status itself says it."""

    def __init__(self, code: int, message: str | None = None, *, status: int = 200) -> None:
        self.code = code
        self.message = message if message is not None else MEANINGS[code]
        self.status = status
        super().__init__(f"{code}: {self.message}")


class BadPaging(Refused):
    """`page` or `pageSize` is missing or wrong: -1001, or HTTP 400 (sheet 1.7)."""

    def __init__(self) -> None:
        super().__init__(-1001, "Invalid request parameters: page, pageSize")


def invalid(what: str) -> Refused:
    """-1001 that names the parameter."""
    return Refused(-1001, f"Invalid request parameters: {what}")
