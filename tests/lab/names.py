"""A name server for the lab, run as a script in a namespace: `names.py ADDRESS ZONE`.

ZONE has one `name address` per line and is read at every question, so that a name moves the moment the file changes.
Answers A questions (RFC 1035), says NXDOMAIN for names it does not have and nothing found for other types.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from pathlib import Path

TTL = 5


def question(packet: bytes) -> tuple[str, int, int]:
    """Name, type and end offset of the only question in a DNS packet."""
    labels, at = [], 12
    while length := packet[at]:
        labels.append(packet[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    return ".".join(labels), struct.unpack_from("!H", packet, at + 1)[0], at + 5


def answer(packet: bytes, zone: dict[str, str]) -> bytes:
    """The reply to one question."""
    name, kind, end = question(packet)
    address = zone.get(name)
    records = 1 if address and kind == 1 else 0
    flags = 0x8580 if address else 0x8583
    reply = packet[:2] + struct.pack("!HHHHH", flags, 1, records, 0, 0) + packet[12:end]
    if records and address:
        reply += struct.pack("!HHHIH", 0xC00C, 1, 1, TTL, 4) + socket.inet_aton(address)
    return reply


def read(zone: Path) -> dict[str, str]:
    """Names and addresses of a zone file."""
    return dict(line.split() for line in zone.read_text().splitlines() if line.strip())


def leave() -> None:
    """End with whoever holds the other end of standard input."""
    sys.stdin.read()
    os._exit(0)


def serve(address: str, zone: Path) -> None:
    """Answer until standard input closes."""
    threading.Thread(target=leave, daemon=True).start()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    print("ready", flush=True)
    while True:
        packet, client = server.recvfrom(512)
        if len(packet) > 16:
            server.sendto(answer(packet, read(zone)), client)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
