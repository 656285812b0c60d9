"""Validators of fields: each takes a value that is not empty and returns the messages of PHP's validation."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_interface
from typing import Final, TypeAlias

Check: TypeAlias = Callable[[str], Sequence[str]]

NAME: Final = (
    "Should be a string between 1 and 64 characters. Allowed characters are alphanumeric characters, dash and underscores."
)
PORT: Final = "Please specify a valid port number (1-65535)."
NETWORK: Final = "Please specify a valid network segment or IP address."
INTEGER: Final = "Invalid integer value."
_HOST: Final = re.compile(r"(?=.{1,253}$)[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?(\.[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?)*\.?")


def masked(pattern: str, message: str) -> Check:
    """The whole value has to match."""
    compiled = re.compile(pattern)
    return lambda value: () if compiled.fullmatch(value) else (message,)


def boolean(value: str) -> Sequence[str]:
    """Only 0 and 1."""
    return () if value in ("0", "1") else ("Value should be a boolean (0,1).",)


def integer(low: int, high: int | None, message: str = INTEGER) -> Check:
    """A number in range. What is no number fails two rules, which makes the reply a list (captures 5.1)."""

    def check(value: str) -> Sequence[str]:
        if not re.fullmatch(r"-?\d+", value):
            return (message, message)
        return () if low <= int(value) and (high is None or int(value) <= high) else (message,)

    return check


def port(value: str) -> Sequence[str]:
    """1..65535; names of services are refused."""
    return () if re.fullmatch(r"\d{1,5}", value) and 1 <= int(value) <= 65535 else (PORT,)


def encoded(message: str) -> Check:
    """Base64; the length is not checked (sheet 6)."""

    def check(value: str) -> Sequence[str]:
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return (message,)
        return ()

    return check


def networks(*, mask: bool, wildcard: bool = False) -> Check:
    """A comma list without blanks of addresses, with prefix length where `mask` says so; `any` where `wildcard` does."""

    def valid(entry: str) -> bool:
        if wildcard and entry == "any":
            return True
        if "/" in entry and not re.fullmatch(r"[^/]+/\d{1,3}", entry):
            return False
        try:
            ip_interface(entry)
        except ValueError:
            return False
        return "/" in entry or not mask

    return lambda value: () if all(valid(entry) for entry in value.split(",")) else (NETWORK,)


def addresses(message: str) -> Check:
    """A comma list of addresses without prefix length."""
    return lambda value: () if all(is_address(entry) for entry in value.split(",")) else (message,)


def host(value: str, *, names_value: bool) -> Sequence[str]:
    """An address without brackets, or a name without underscores (sheet 2.3)."""
    if is_address(value) or (_HOST.fullmatch(value) and not re.fullmatch(r"[\d.]+", value)):
        return ()
    return (
        f"[{value}] is not a valid IP address or hostname."
        if names_value
        else "Please specify a valid IP address or hostname.",
    )


def host_port(value: str) -> Sequence[str]:
    """`host:port`, as the peer generator takes it."""
    name, colon, number = value.rpartition(":")
    if colon and not host(name.strip("[]"), names_value=False) and not port(number):
        return ()
    return (f'"{value}" is invalid. Please specify a valid host:port combination.',)


def is_address(text: str) -> bool:
    """True for an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
