"""Commands with a colon that take values and give one (manual, "Global commands")."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from .data import NOTHING, Array, Function, Id, Time, Value, empty, literal, number, text, time, typeof
from .environment import Scope
from .errors import Returned, ScriptError
from .flow import Run
from .operators import same

_LEVELS: Final = ("debug", "error", "info", "warning")


def _put(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    message = given[0] if given else named.get("message")
    scope.job.say(text(message))
    return message


def _log(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    level = text(given[0]) if given else ""
    message = given[1] if len(given) > 1 else named.get("message")
    if level not in _LEVELS or message is None:
        raise ScriptError("input does not match any value of topic" if message is not None else "missing value(s) of message")
    scope.job.log(f"script,{level}", text(message))
    return None


def _len(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    value = given[0]
    if isinstance(value, Array):
        return len(value.items) + len(value.keys)
    return len(text(value).encode("utf-8", "surrogateescape"))


def _typeof(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    return typeof(given[0])


def _tostr(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    return text(given[0])


def _tonum(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    value = given[0]
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int) else number(text(value))


def _totime(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    value = given[0]
    if isinstance(value, Time):
        return value
    seconds = number(text(value))
    return time(text(value)) if seconds is None else Time(seconds * 1000)


def _toip(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    try:
        return ip_address(text(given[0]))
    except ValueError:
        return None


def _toid(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    found = literal(text(given[0]))
    return found if isinstance(found, Id) else None


def _tobool(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    found = literal(text(given[0]))
    return found if isinstance(found, bool) else found != 0 if isinstance(found, int) else None


def _toarray(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    value = given[0]
    if isinstance(value, Array):
        return value.copy()
    if empty(value) or value == "":
        return Array()
    return Array([literal(one) for one in value.split(",")]) if isinstance(value, str) else Array([value])


def _pick(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    value, begin = given[0], _index(given[1])
    end = None if len(given) < 3 or empty(given[2]) else _index(given[2])
    if isinstance(value, Array):
        elements = value.all()
        if end is None:
            return elements[begin] if begin < len(elements) else None
        return Array(elements[begin:end])
    written = text(value)
    if begin >= len(written):
        return None
    return written[begin : begin + 1 if end is None else end]


def _index(value: Value) -> int:
    found = number(text(value))
    if found is None or found < 0:
        raise ScriptError(f"invalid index {text(value)}")
    return found


def _find(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    """The position after `from`, nil when there is none."""
    value, wanted = given[0], given[1]
    after = -1 if len(given) < 3 or empty(given[2]) else (number(text(given[2])) or 0)
    if isinstance(value, Array):
        places = [place for place, one in enumerate(value.all()) if place > after and same(one, wanted)]
        return places[0] if places else None
    place = text(value).find(text(wanted), after + 1)
    return None if place < 0 else place


def _resolve(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    found = scope.job.router.resolve(text(given[0] if given else named.get("domain-name")))
    if found is None:
        raise ScriptError("failure: dns name does not exist")
    return ip_address(found)


def _return(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    raise Returned(given[0])


def _error(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    raise ScriptError(text(given[0]))


def _parse(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    from .parser import parse

    return Function(parse(text(given[0]), scope.job.router.device, function=True))


def _execute(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    """In the background: what it does wrong is in the log. With `as-string` at once, its output is the value."""
    flags = [text(one) for one in given[1:]] if "script" not in named else [text(one) for one in given]
    script = named.get("script", given[0] if given else None)
    as_string = "as-string" in named or "as-string" in flags
    if empty(script) or any(flag != "as-string" for flag in flags):
        raise ScriptError("missing value(s) of argument(s) script" if empty(script) else "expected end of command")
    source = script.body if isinstance(script, Function) else text(script)
    job = scope.job.jobs.start("execute", source, scope.job.user, scope.job.policies, depth=scope.job.depth + 1)
    if not as_string:
        return Id(f"*{job.number:X}")
    return job.said()


def _nothing(scope: Scope, given: Sequence[Value], named: dict[str, Value]) -> Value:
    return NOTHING


FUNCTIONS: Final[dict[str, tuple[int, int, tuple[str, ...], Run]]] = {
    "put": (1, 1, ("message",), _put),
    "log": (1, 2, ("message",), _log),
    "len": (1, 1, (), _len),
    "typeof": (1, 1, (), _typeof),
    "tostr": (1, 1, (), _tostr),
    "tonum": (1, 1, (), _tonum),
    "totime": (1, 1, (), _totime),
    "toip": (1, 1, (), _toip),
    "toid": (1, 1, (), _toid),
    "tobool": (1, 1, (), _tobool),
    "toarray": (1, 1, (), _toarray),
    "pick": (2, 3, (), _pick),
    "find": (2, 3, (), _find),
    "resolve": (1, 1, ("domain-name",), _resolve),
    "return": (1, 1, (), _return),
    "error": (1, 1, (), _error),
    "parse": (1, 1, (), _parse),
    "execute": (1, 2, ("script", "as-string"), _execute),
    "nothing": (0, 0, (), _nothing),
}
"""Name -> fewest and most values, names it takes, what it does."""
