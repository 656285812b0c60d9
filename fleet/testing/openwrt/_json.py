"""JSON as libubox prints it, and the paths of jsonfilter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from ..linux._call import Call, Refused

_STEP: Final = re.compile(
    r"\.([A-Za-z_][\w-]*)|\[(\*|-?\d+|'[^']*'|\"[^\"]*\")\]|\[@\.([\w-]+)\s*=\s*('[^']*'|\"[^\"]*\"|[\w.-]+)\]"
)


def compact(value: object) -> str:
    """As `ubus -S` prints it: one line without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def pretty(value: object, depth: int = 0) -> str:
    """As `ubus` prints it: tabs, and a line of nothing inside what is empty (captures 3 and 4)."""
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    inner = "\t" * (depth + 1)
    if isinstance(value, dict):
        items = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(one, depth + 1)}" for key, one in value.items()]
    else:
        items = [pretty(one, depth + 1) for one in value]
    first, last = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{first}\n{inner}" + f",\n{inner}".join(items) + "\n" + "\t" * depth + last


def filtered(call: Call, text: str, expressions: list[str], types: bool) -> int:
    """Print what the expressions find; 1 when one of them finds nothing."""
    try:
        document = json.loads(text)
    except ValueError:
        raise Refused("Failed to parse json data: unexpected character", 126) from None
    code = 0
    for expression in expressions:
        name, equals, path = expression.partition("=")
        if not equals or not re.fullmatch(r"\w+", name):
            name, path = "", expression
        found = list(_walk(document, path))
        code = code or (0 if found else 1)
        if name:
            shown = " ".join(_shown(one, types) for one in found)
            call.out(f"export {name}='{shown}'; " if found else "", end="")
        else:
            for one in found:
                call.out(_shown(one, types))
    return code


def _shown(value: object, types: bool) -> str:
    if types:
        names = {bool: "boolean", str: "string", int: "int", float: "double", dict: "object", list: "array"}
        return names.get(type(value), "null")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(", ", ": "), ensure_ascii=False)


def _walk(document: object, path: str) -> Iterator[object]:
    if path[:1] not in {"@", "$"}:
        raise Refused(f"Syntax error: expecting Root\nIn expression {path}\nNear here -^", 125)
    found, rest = [document], path[1:]
    while rest:
        match = _STEP.match(rest)
        if match is None:
            raise Refused(f"Syntax error: Unexpected token\nIn expression {path}\nNear here -^", 125)
        rest = rest[match.end() :]
        found = [one for value in found for one in _step(value, match)]
    yield from found


def _step(value: object, match: re.Match[str]) -> Iterator[object]:
    key, index, field, wanted = match.groups()
    if key is not None or (index or "")[:1] in {"'", '"'}:
        name = key if key is not None else index[1:-1]
        if isinstance(value, dict) and name in value:
            yield value[name]
    elif index == "*":
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    elif field is not None:
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        yield from (one for one in members if isinstance(one, dict) and str(one.get(field)) == wanted.strip("'\""))
    elif isinstance(value, list) and -len(value) <= int(index) < len(value):
        yield value[int(index)]
