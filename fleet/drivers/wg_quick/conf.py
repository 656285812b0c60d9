"""A wg-quick file as lines that know where they come from: what is not edited goes back as the line it was.

The router sends every line except those that hold secrets of others; of these only number and kind are known here. A line
that is not edited is written by its number, so bytes that no text could carry survive too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ...model import HIDDEN, Endpoint, IPInterface, IPNetwork, Mark, Peer, Preshared, PublicKey, Secret, sorted_networks

_PRESHARED = re.compile(r"(\s*PresharedKey\s*=\s*)([^\s#]+)(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `number` is its place in the file that was read, 0 for a new one.

    `hidden` is the kind of a line that stays on the router (PrivateKey, PresharedKey, Other), whose text is empty.
    `secret` stands at the end of `text`.
    """

    text: str
    number: int = 0
    hidden: str = ""
    secret: Secret | None = None

    @classmethod
    def read(cls, text: str, number: int) -> Line:
        """A line as the router sent it; a preshared key of ours becomes a Secret at once."""
        found = _PRESHARED.fullmatch(text)
        return cls(found[1], number, secret=Secret(found[2])) if found else cls(text, number)

    @property
    def setting(self) -> tuple[str, str]:
        """Key in lower case and value, as wg reads them; two empty strings for anything else."""
        if self.hidden in {"PrivateKey", "PresharedKey"}:
            return self.hidden.lower(), ""
        key, equals, value = self.text.partition("#")[0].partition("=")
        return (key.strip().lower(), value.strip()) if equals else ("", "")

    @property
    def comment(self) -> str:
        """From the # on, empty without one."""
        return self.text[self.text.find("#") :] if "#" in self.text else ""

    @property
    def header(self) -> str:
        """`interface`, `peer` or another section's name in lower case, empty if the line opens no section."""
        text = self.text.partition("#")[0].strip().lower()
        return text[1:-1].strip() if text.startswith("[") and text.endswith("]") else ""


@dataclass(slots=True)
class Section:
    """A header with its lines, up to the next header. `kind` is empty for what stands before the first one."""

    kind: str
    lines: list[Line] = field(default_factory=list)

    def values(self, key: str) -> list[str]:
        """Values of a setting (key in lower case), in order."""
        return [value for name, value in (line.setting for line in self.lines) if name == key]

    def has(self, text: str) -> bool:
        """True if a line says exactly this, spaces at its ends aside."""
        return any(line.text.strip() == text for line in self.lines)

    @property
    def mark(self) -> Mark | None:
        """The first mark in a comment of this section."""
        return next((mark for line in self.lines if (mark := Mark.find(line.comment))), None)

    def set_mark(self, mark: Mark) -> None:
        """Write the mark: in place of the one that is there, the rest of its comment kept; else below the header."""
        for index, line in enumerate(self.lines):
            if old := Mark.find(line.comment):
                self.lines[index] = Line(line.text.replace(str(old), str(mark), 1))
                return
        self.lines.insert(1, Line(f"# {mark}"))

    def set(self, key: str, *lines: Line) -> None:
        """Put these lines in place of the first setting of that key and drop the others; no lines: remove it.

        A comment behind the old value stays. A new setting goes below the last one, above blank lines and comments that
        introduce the next section.
        """
        places = [index for index, line in enumerate(self.lines) if line.setting[0] == key]
        new = list(lines)
        if places and new and not new[0].number and new[0].secret is None and (comment := self.lines[places[0]].comment):
            new[0] = Line(f"{new[0].text} {comment}")
        at = places[0] if places else self.end
        for index in reversed(places):
            del self.lines[index]
        self.lines[at:at] = new

    @property
    def end(self) -> int:
        """Index behind the last setting, hidden line, mark or header."""
        for index in range(len(self.lines) - 1, -1, -1):
            line = self.lines[index]
            if line.hidden or line.setting[0] or line.header or Mark.find(line.comment):
                return index + 1
        return 0


class Conf:
    """A whole file in sections, edited in place."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.sections = [Section("")]
        for line in lines:
            if not line.hidden and line.header:
                self.sections.append(Section(line.header))
            self.sections[-1].lines.append(line)
        self._peers: dict[str, list[Section]] = {}
        for section in self.sections:
            if section.kind == "peer":
                self._peers.setdefault(next(iter(section.values("publickey")[-1:]), ""), []).append(section)

    @property
    def lines(self) -> list[Line]:
        """All lines in order."""
        return [line for section in self.sections for line in section.lines]

    @property
    def interface(self) -> Section:
        """The [Interface] section; made at the top if there is none."""
        for section in self.sections:
            if section.kind == "interface":
                return section
        made = Section("interface", [Line("[Interface]")])
        self.sections.insert(1, made)
        return made

    def interface_values(self, key: str) -> list[str]:
        """Values of a setting over all [Interface] sections; wg-quick allows several."""
        return [value for section in self.sections if section.kind == "interface" for value in section.values(key)]

    def has_private_key(self) -> bool:
        """True if the private key stands in this file and not in one of its own."""
        return any(line.hidden == "PrivateKey" for section in self.sections for line in section.lines)

    @property
    def peers(self) -> Iterator[tuple[str, Section]]:
        """Public key as written and the section that counts: the last of its key, as for wg."""
        return ((key, sections[-1]) for key, sections in self._peers.items())

    def peer(self, key: PublicKey) -> Section:
        """The section of a peer; a new one at the end if there is none."""
        if key in self._peers:
            return self._peers[key][-1]
        before = self.sections[-1].lines
        if before and (before[-1].hidden or before[-1].text.strip()):
            before.append(Line(""))
        section = Section("peer", [Line("[Peer]"), Line(f"PublicKey = {key}")])
        self.sections.append(section)
        self._peers[key] = [section]
        return section

    def remove_peer(self, key: PublicKey) -> None:
        """Drop the sections of a peer; comments below their last setting introduce the next section and stay."""
        gone = self._peers.pop(key, [])
        if not gone:
            return
        kept: list[Section] = []
        for section in self.sections:
            if not any(section is one for one in gone):
                kept.append(section)
                continue
            rest = section.lines[section.end :]
            before = kept[-1].lines
            if before and not before[-1].text.strip() and not before[-1].hidden and (not rest or not rest[0].text.strip()):
                before.pop()
            before.extend(rest)
        self.sections = kept


# ------------------------------------------------------------------------------------------------ values
def _network(text: str) -> IPNetwork:
    return ipaddress.ip_network(text, strict=False)  # wg masks host bits; without a length it is one host


def split(values: Iterable[str]) -> list[str]:
    """Items of comma-separated values."""
    return [item for value in values for part in value.split(",") if (item := part.strip())]


def addresses_of(conf: Conf) -> frozenset[IPInterface]:
    """Addresses of the interface. Raises ValueError."""
    return frozenset(ipaddress.ip_interface(text) for text in split(conf.interface_values("address")))


def number_of(conf: Conf, key: str) -> int | None:
    """The last value of a numeric setting of the interface, None if it is not set. Raises ValueError."""
    values = conf.interface_values(key)
    return int(values[-1], 0) if values else None


def _keepalive(values: list[str]) -> int:
    return 0 if not values or values[-1].lower() == "off" else int(values[-1])


def _preshared(section: Section) -> Preshared:
    for line in reversed(section.lines):
        if line.setting[0] == "presharedkey":
            return line.secret if line.secret is not None else HIDDEN
    return None


def read_peer(section: Section) -> Peer:
    """The peer that a section describes. Raises ValueError for what wg would not read either."""
    endpoint = section.values("endpoint")
    return Peer(
        public_key=PublicKey(section.values("publickey")[-1]),
        allowed_ips=frozenset(_network(text) for text in split(section.values("allowedips"))),
        endpoint=Endpoint.parse(endpoint[-1]) if endpoint else None,
        persistent_keepalive=_keepalive(section.values("persistentkeepalive")),
        preshared_key=_preshared(section),
        mark=section.mark,
    )


def write_peer(section: Section, peer: Peer, attributes: Iterable[str]) -> None:
    """Edit these attributes of a peer's section, the rest stays as it is."""
    for attribute in attributes:
        if attribute == "allowed_ips":
            text = ", ".join(str(network) for network in sorted_networks(peer.allowed_ips))
            section.set("allowedips", *([Line(f"AllowedIPs = {text}")] if text else []))
        elif attribute == "endpoint":
            section.set("endpoint", *([Line(f"Endpoint = {peer.endpoint}")] if peer.endpoint else []))
        elif attribute == "persistent_keepalive":
            seconds = peer.persistent_keepalive
            section.set("persistentkeepalive", *([Line(f"PersistentKeepalive = {seconds}")] if seconds else []))
        elif attribute == "preshared_key" and peer.preshared_key is None:
            section.set("presharedkey")
        elif attribute == "preshared_key" and isinstance(peer.preshared_key, Secret):
            section.set("presharedkey", Line("PresharedKey = ", secret=peer.preshared_key))
        elif attribute == "mark" and peer.mark is not None:
            section.set_mark(peer.mark)
