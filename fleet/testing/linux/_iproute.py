"""`ip route` and `ip rule`. Words and exit codes as iproute2 6.1 prints them."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import replace
from typing import Final

from ...model import IPNetwork
from ._call import Call, Refused
from ._kernel import Denied, RouteEntry, RuleEntry, protocol_name

_INCOMPLETE: Final = 'Command line is not complete. Try option "help"'
_KINDS: Final = frozenset({"unicast", "unreachable", "blackhole", "prohibit", "throw", "local"})
_VERBS: Final = ("show", "list", "lst", "add", "append", "replace", "change", "delete", "flush", "get")


class _Words:
    def __init__(self, words: list[str]) -> None:
        self._words = list(words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def take(self) -> str:
        if not self._words:
            raise Refused(_INCOMPLETE, 255)
        return self._words.pop(0)


def route(call: Call, family: int, as_json: bool, words: list[str]) -> int:
    """One `ip route` command. Raises Refused, Denied, NoSuchDevice."""
    command = words[0] if words else "show"
    verb = next((known for known in _VERBS if known.startswith(command)), None)
    if verb is None:
        raise Refused(f'Command "{command}" is unknown, try "ip route help".', 255)
    rest = words[1:]
    if verb in {"show", "list", "lst"}:
        _show(call, family, as_json, rest)
    elif verb == "get":
        _get(call, family, rest)
    else:
        call.need_root("RTNETLINK answers: Operation not permitted", 2)
        if verb == "flush":
            _flush(call, family, rest)
        else:
            _edit(call, verb, _parse(family, _Words(rest)))
    return 0


# ----------------------------------------------------------------------------------------------------------- parsing
def _network(text: str, family: int) -> IPNetwork:
    word = {0: "any valid", 4: "inet", 6: "inet6"}[family]
    if text == "default":
        return ipaddress.ip_network("::/0" if family == 6 else "0.0.0.0/0")
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise Refused(f'Error: {word} prefix is expected rather than "{text}".') from None
    if family not in {0, interface.version}:
        raise Refused(f'Error: {word} prefix is expected rather than "{text}".')
    if interface.ip != interface.network.network_address and interface.version == 4:
        raise Denied("Error: Invalid prefix for given prefix length.")
    return interface.network  # IPv6 host bits are cut, not refused (measured, 6.1)


def _parse(family: int, words: _Words) -> RouteEntry:
    found = RouteEntry(ipaddress.ip_network("0.0.0.0/0"))
    prefix: IPNetwork | None = None
    given_metric = False
    while words:
        word = words.take()
        if word == "dev":
            found = replace(found, device=words.take())
        elif word == "via":
            found = replace(found, via=_gateway(words))
        elif word in {"proto", "protocol"}:
            found = replace(found, protocol=_protocol(words.take()))
        elif word in {"metric", "preference", "priority"}:
            found, given_metric = replace(found, metric=_number(words.take(), "metric")), True
        elif word == "scope":
            found = replace(found, scope=words.take())
        elif word == "table":
            found = replace(found, table=words.take())
        elif word == "src":
            found = replace(found, source=ipaddress.ip_address(words.take()))
        elif word == "onlink":
            found = replace(found, onlink=True)
        elif word in {"mtu", "advmss"}:
            words.take()
        elif word in _KINDS:
            found = replace(found, kind=word)
        else:
            prefix = _network(words.take() if word == "to" else word, family)
    if prefix is None:
        raise Refused(_INCOMPLETE, 255)
    if prefix.version == 6 and not given_metric:
        found = replace(found, metric=1024)
    return replace(found, prefix=prefix, protocol="" if found.protocol == "boot" else found.protocol)


def _gateway(words: _Words) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    text = words.take()
    text = words.take() if text in {"inet", "inet6"} else text
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Refused(f'Error: inet address is expected rather than "{text}".') from None


def _protocol(text: str) -> str:
    known = {"kernel", "boot", "static", "redirect", "ra", "dhcp", "bird", "zebra", "bgp", "ospf", "unspec"}
    if text not in known and not (text.isdigit() and int(text) < 256):
        raise Refused(f'Error: argument "{text}" is wrong: "protocol" value is invalid\n', 255)
    return protocol_name(text)


def _number(text: str, what: str) -> int:
    if not text.isdigit():
        raise Refused(f'Error: argument "{text}" is wrong: "{what}" value is invalid\n', 255)
    return int(text)


# ----------------------------------------------------------------------------------------------------------- writing
def _edit(call: Call, verb: str, wanted: RouteEntry) -> None:
    kernel = call.host.kernel
    if wanted.device is not None:
        kernel.device(wanted.device)
    if verb == "delete":
        _delete(call, wanted)
        return
    entry = _complete(call, wanted)
    same = [one for one in kernel.routes if _key(one) == _key(entry)]
    if entry.prefix.version == 6:
        same = [one for one in same if one.device == entry.device or verb == "replace"]
    if same and verb == "add":
        raise Denied("RTNETLINK answers: File exists")
    if not same and verb == "change":
        raise Denied("RTNETLINK answers: No such file or directory")
    if verb in {"replace", "change"} and same:
        kernel.routes = [entry if one is same[0] else one for one in kernel.routes]
    else:
        kernel.routes = [*kernel.routes, entry]


def _key(entry: RouteEntry) -> tuple[object, ...]:
    return (entry.prefix, entry.metric, entry.table)


def _complete(call: Call, wanted: RouteEntry) -> RouteEntry:
    """The route as the kernel would store it, or its refusal."""
    kernel = call.host.kernel
    if wanted.kind != "unicast":
        return replace(wanted, device=wanted.device or ("lo" if wanted.prefix.version == 6 else None))
    if wanted.via is not None and not wanted.onlink:
        device = kernel.reaches(wanted.via, wanted.device)
        if device is None:
            raise Denied(
                "Error: Nexthop has invalid gateway." if wanted.via.version == 4 else "RTNETLINK answers: No route to host"
            )
        wanted = replace(wanted, device=device)
    if wanted.device is None:
        raise Denied("RTNETLINK answers: No such device")
    if not kernel.device(wanted.device).up:
        raise Denied(
            "Error: Device for nexthop is not up." if wanted.prefix.version == 4 else "Error: Nexthop device is not up."
        )
    if wanted.source is not None and kernel.owner(wanted.source) is None:
        raise Denied("Error: Invalid prefsrc address." if wanted.prefix.version == 4 else "Error: Invalid source address.")
    scope = wanted.scope or ("link" if wanted.via is None and wanted.prefix.version == 4 else "")
    return replace(wanted, scope="" if scope == "global" else scope)


def _delete(call: Call, wanted: RouteEntry) -> None:
    kernel = call.host.kernel
    default = 1024 if wanted.prefix.version == 6 else 0
    for one in kernel.routes:
        if (
            one.prefix == wanted.prefix
            and one.table == wanted.table
            and wanted.device in {None, one.device}
            and wanted.via in {None, one.via}
            and wanted.protocol in {"", one.protocol}
            and (wanted.metric == default or wanted.metric == one.metric)
        ):
            kernel.routes = [other for other in kernel.routes if other is not one]
            return
    raise Denied("RTNETLINK answers: No such process")


# ----------------------------------------------------------------------------------------------------------- reading
class _Filter:
    """What `show` and `flush` select by."""

    def __init__(self, call: Call, family: int, words: list[str]) -> None:
        self.family = family
        self.device: str | None = None
        self.hidden: set[str] = set()
        self._tests: dict[str, str] = {}
        self._prefix: tuple[str, IPNetwork] | None = None
        self.table = "main"
        rest = _Words(words)
        while rest:
            self._word(call, rest.take(), rest)

    def _word(self, call: Call, word: str, rest: _Words) -> None:
        if word == "dev":
            self.device = rest.take()
            call.host.kernel.device(self.device)
        elif word in {"proto", "protocol", "scope", "type", "via", "src"}:
            self._tests["proto" if word == "protocol" else word] = rest.take()
            self.hidden.add("proto" if word == "protocol" else word)
        elif word == "table":
            self.table = rest.take()
        elif word in {"match", "root", "exact", "to"}:
            following = rest.take()
            if word == "to" and following in {"match", "root", "exact"}:
                word, following = following, rest.take()
            self._by_prefix("exact" if word == "to" else word, following)
        elif word in _KINDS:
            self._tests["type"] = word
        else:
            self._by_prefix("exact", word)

    def _by_prefix(self, how: str, text: str) -> None:
        try:
            self._prefix = (how, _network(text, self.family))
        except Denied:
            raise Refused(f'Error: any valid prefix is expected rather than "{text}".') from None
        self.family = self.family or self._prefix[1].version

    def passes(self, entry: RouteEntry) -> bool:
        """True if this route is asked for."""
        wanted = self._tests
        values = {"proto": entry.protocol or "boot", "scope": entry.scope or "global", "type": entry.kind,
                  "via": str(entry.via), "src": str(entry.source)}  # fmt: skip
        if any(protocol_name(text) != values[name] for name, text in wanted.items()):
            return False
        if self.device not in {None, entry.device} or (self.table not in {"all", entry.table}):
            return False
        if self._prefix is None:
            return True
        how, prefix = self._prefix
        if prefix.version != entry.prefix.version:
            return False
        mine: tuple[IPNetwork, IPNetwork] = (entry.prefix, prefix)
        if how == "exact":
            return entry.prefix == prefix
        outer, inner = mine if how == "match" else mine[::-1]
        return inner.subnet_of(outer)  # type: ignore[arg-type]


def _selected(call: Call, chosen: _Filter) -> list[RouteEntry]:
    tables = {one.table for one in call.host.kernel.routes} if chosen.table == "all" else {chosen.table}
    versions = [4, 6] if chosen.table == "all" and not chosen.family else [chosen.family or 4]
    found = [one for version in versions for table in sorted(tables) for one in call.host.kernel.table(version, table)]
    return [one for one in found if chosen.passes(one)]


def _show(call: Call, family: int, as_json: bool, words: list[str]) -> None:
    chosen = _Filter(call, family, words)
    selected = _selected(call, chosen)
    if as_json:
        call.out(json.dumps([_json(one, chosen) for one in selected], separators=(",", ":")))
        return
    for one in selected:
        call.out(_line(one, chosen))


def _shown_prefix(entry: RouteEntry) -> str:
    if entry.prefix.prefixlen == 0:
        return "default"
    if entry.prefix.prefixlen == entry.prefix.max_prefixlen:
        return str(entry.prefix.network_address)
    return str(entry.prefix)


def _line(entry: RouteEntry, chosen: _Filter) -> str:
    parts = [_shown_prefix(entry)] if entry.kind == "unicast" else [entry.kind, _shown_prefix(entry)]
    if entry.via is not None:
        parts.append(f"via {entry.via}")
    if entry.device and chosen.device is None and entry.kind == "unicast":
        parts.append(f"dev {entry.device}")
    if entry.table != "main" and chosen.table == "all":
        parts.append(f"table {entry.table}")
    if entry.protocol and "proto" not in chosen.hidden:
        parts.append(f"proto {entry.protocol}")
    if entry.scope and "scope" not in chosen.hidden:
        parts.append(f"scope {entry.scope}")
    if entry.source is not None:
        parts.append(f"src {entry.source}")
    if entry.metric:
        parts.append(f"metric {entry.metric}")
    if entry.onlink:
        parts.append("onlink")
    if entry.prefix.version == 6:
        parts.append("pref medium")
        return " ".join(parts)
    return " ".join(parts) + " "


def _json(entry: RouteEntry, chosen: _Filter) -> dict[str, object]:
    shown: dict[str, object] = {} if entry.kind == "unicast" else {"type": entry.kind}
    shown["dst"] = _shown_prefix(entry)
    if entry.via is not None:
        shown["gateway"] = str(entry.via)
    if entry.device and chosen.device is None:
        shown["dev"] = entry.device
    if entry.protocol and "proto" not in chosen.hidden:
        shown["protocol"] = entry.protocol
    if entry.scope:
        shown["scope"] = entry.scope
    if entry.source is not None:
        shown["prefsrc"] = str(entry.source)
    if entry.metric:
        shown["metric"] = entry.metric
    shown["flags"] = ["onlink"] if entry.onlink else []
    if entry.prefix.version == 6:
        shown["pref"] = "medium"
    return shown


def _get(call: Call, family: int, words: list[str]) -> None:
    rest = _Words(words)
    text = rest.take()
    try:
        target = ipaddress.ip_address(text)
    except ValueError:
        raise Refused(f'Error: any valid prefix is expected rather than "{text}".') from None
    kernel = call.host.kernel
    owner = kernel.owner(target)
    if owner is not None:
        call.out(f"local {target} dev lo src {target} uid {call.uid} \n    cache <local> ")
        return
    found = kernel.lookup(target)
    if found is None:
        raise Denied("RTNETLINK answers: Network is unreachable")
    if found.kind != "unicast":
        raise Denied("RTNETLINK answers: No route to host")
    via = f"via {found.via} " if found.via else ""
    source = kernel.source_for(found, target)
    src = f"src {source} " if source else ""
    call.out(f"{target} {via}dev {found.device} {src}uid {call.uid} \n    cache ")


def _flush(call: Call, family: int, words: list[str]) -> None:
    if not words:
        raise Refused('"ip route flush" requires arguments.')
    chosen = _Filter(call, family, words)
    gone = _selected(call, chosen)
    call.host.kernel.routes = [one for one in call.host.kernel.routes if not any(one is other for other in gone)]


# -------------------------------------------------------------------------------------------------------------- rule
def rule(call: Call, family: int, words: list[str]) -> int:
    """`ip rule` show, add and delete of what wg-quick and admins use."""
    kernel, version = call.host.kernel, family or 4
    command, rest = (words[0], words[1:]) if words else ("show", [])
    if command in {"show", "list", "lst", "ls"}:
        fixed = [(0, "from all lookup local"), (32766, "from all lookup main")]
        fixed += [(32767, "from all lookup default")] if version == 4 else []
        mine = [(one.priority, one.text) for one in kernel.rules if one.version == version]
        for number, text in sorted([*mine, *fixed]):
            call.out(f"{number}:\t{text}")
        return 0
    call.need_root("RTNETLINK answers: Operation not permitted", 2)
    priority, text = _rule_words(_Words(rest))
    if command.startswith("d"):
        for one in kernel.rules:
            if one.version == version and one.text == text:
                kernel.rules = [other for other in kernel.rules if other is not one]
                return 0
        raise Denied("RTNETLINK answers: No such file or directory")
    free = min([one.priority for one in kernel.rules if one.version == version and one.priority > 0] + [32766]) - 1
    kernel.rules = [*kernel.rules, RuleEntry(free if priority is None else priority, version, text)]
    return 0


def _rule_words(words: _Words) -> tuple[int | None, str]:
    priority, negated, source, mark, table, tail = None, "", "all", "", "main", ""
    while words:
        word = words.take()
        if word == "not":
            negated = "not "
        elif word == "from":
            source = words.take()
        elif word == "fwmark":
            mark = f" fwmark {int(words.take(), 0):#x}"
        elif word in {"table", "lookup"}:
            table = words.take()
        elif word in {"priority", "pref"}:
            priority = int(words.take())
        elif re.match("suppress_prefix", word):
            tail = f" suppress_prefixlength {words.take()}"
        else:
            raise Refused(f'Error: argument "{word}" is wrong: Failed to parse rule type', 255)
    return priority, f"{negated}from {source}{mark} lookup {table}{tail}"
