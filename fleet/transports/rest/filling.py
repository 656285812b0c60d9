"""Names in declared strings, places in replies, and what nobody may see."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, quote_plus

from ...dialects import Json
from ...errors import LoginFailed
from ...link import Access, Body
from ...model import Secret

SECRETS = ("password", "api_key", "api_secret")

CREDENTIALS = ("username", *SECRETS)

_NAME = re.compile(r"\{(\w+)\}")


def given(access: Access) -> dict[str, str]:
    """The names that the inventory gives: credentials, and the driver's own options where they are one value."""
    options = {name: str(value) for name, value in access.options.items() if isinstance(value, str | int)}
    values: dict[str, str | Secret | None] = {name: getattr(access, name) for name in CREDENTIALS}
    return options | {name: _text(value) for name, value in values.items() if value is not None}


def filled(text: str, names: Mapping[str, str]) -> str:
    """Declared text with its names filled in. Raises LoginFailed for a credential that was not given."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in names:
            raise LoginFailed(
                f"no {name} is given, and the login needs one" if name in CREDENTIALS else f"the login gave no {name}",
                f"set `{name}:` (a secret reference) for this router or its group" if name in CREDENTIALS else "",
            )
        return names[name]

    return _NAME.sub(value, text)


def filled_body(body: Json, names: Mapping[str, str]) -> Json:
    """The same for every string of a JSON body."""
    if isinstance(body, str):
        return filled(body, names)
    if isinstance(body, Mapping):
        return {name: filled_body(value, names) for name, value in body.items()}
    if isinstance(body, tuple | list):
        return tuple(filled_body(value, names) for value in body)
    return body


def revealed(body: Body) -> Any:
    """A body as json.dumps takes it, secrets in clear."""
    if isinstance(body, Secret):
        return body.reveal()
    if isinstance(body, Mapping):
        return {name: revealed(value) for name, value in body.items()}
    if isinstance(body, str | int | float) or body is None:
        return body
    return [revealed(value) for value in body]


def secrets_in(body: Body) -> Iterable[str]:
    """Every secret of a body, in clear."""
    if isinstance(body, Secret):
        yield body.reveal()
    elif isinstance(body, Mapping):
        for value in body.values():
            yield from secrets_in(value)
    elif not isinstance(body, str | int | float) and body is not None:
        for value in body:
            yield from secrets_in(value)


def at(reply: object, place: str) -> object:
    """What stands at a dotted path in decoded JSON, None if nothing does."""
    for name in place.split("."):
        reply = reply.get(name) if isinstance(reply, Mapping) else None
    return reply


def learned(place: str, reply: object, headers: Any) -> str | None:
    """The value at a place of a reply: `header:NAME`, `cookie:NAME` or a dotted path into its JSON."""
    kind, colon, name = place.partition(":")
    if colon and kind == "header":
        value: object = headers.get(name)
    elif colon and kind == "cookie":
        value = _cookie(name, headers)
    else:
        value = at(reply, place)
    return None if value is None or value == "" else str(value)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Text without the secrets, in whatever spelling JSON, HTML and URLs give them."""
    spellings = set()
    for secret in secrets:
        if len(secret.strip()) > 3:
            quoted = json.dumps(secret)[1:-1]
            spellings |= {secret, quoted, quoted.replace("/", "\\/"), html.escape(secret)}
            spellings |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, "***")
    return text


def _cookie(name: str, headers: Any) -> str | None:
    for line in headers.getlist("Set-Cookie"):
        try:
            jar = SimpleCookie(line)
        except CookieError:
            continue
        if name in jar:
            return jar[name].value
    return None


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
