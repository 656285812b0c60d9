"""From a request on the wire to an action and back: routing, authentication, rights, body parsing, in PHP's order (sheet 1)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ..https import HttpReply, HttpRequest
from . import phpjson
from .call import Action, Call, Raw
from .refusal import ApiError, UserRefusal, not_found
from .users import User

if TYPE_CHECKING:
    from .box import Box

JSON_TYPE: Final = "application/json; charset=UTF-8"
ERROR_TYPE: Final = "application/json;charset=utf-8"
_JSON_BODY: Final = ("application/json", "application/json;charset=utf-8")


def answer(box: Box, request: HttpRequest) -> HttpReply:
    """The reply of the box to a request."""
    try:
        return _answered(box, request)
    except ApiError as error:
        body = b"" if error.body is None else phpjson.written(error.body, slashes=False)
        headers = (("Location", error.location),) if error.location else ()
        handled = error.status in (400, 401, 403)
        kind = "text/html; charset=UTF-8" if error.body is None else JSON_TYPE if handled else ERROR_TYPE
        return _reply(error.status, body, kind, *headers)
    except UserRefusal as refusal:
        return _reply(500, phpjson.written(_refusal(box, refusal), slashes=False), ERROR_TYPE)


def _reply(status: int, body: bytes, kind: str, *headers: tuple[str, str]) -> HttpReply:
    return HttpReply(status, body, (("Content-Type", kind), ("Server", "OPNsense"), *headers))


def _refusal(box: Box, refusal: UserRefusal) -> dict[str, object]:
    """Its keys differ by release (captures, part A)."""
    title = refusal.title if box.release.since(25, 7) else ""
    level = {"errorLevel": "error"} if box.release.since(26, 7) else {}
    return {"errorMessage": refusal.message, "errorTitle": title, **level}


def _answered(box: Box, request: HttpRequest) -> HttpReply:
    url = urlsplit(request.target)
    parts = [unquote(part) for part in url.path.split("/")]
    if parts[:2] != ["", "api"]:
        return _reply(200, b"<html><title>Login | OPNsense</title></html>", "text/html; charset=UTF-8")
    # The dispatcher resolves first: an unknown endpoint is 404 whoever asks (24.7 and later, sheet 1).
    if box.release.since(24, 7):
        action, parameters = _resolved(box, parts[2:])
        user = _allowed(box, request, url.path)
    else:
        user = _allowed(box, request, url.path)
        action, parameters = _resolved(box, parts[2:])
    post = _body(box, request)
    call = Call(
        request.method,
        url.path,
        parameters,
        post or dict(parse_qsl(url.query)),
        f"{user.name}@127.0.0.1",
        user.readonly(box.release),
    )
    found = action.run(call)
    if isinstance(found, Raw):
        return _reply(200, found.body, found.content_type, *found.headers.items())
    return _reply(200, phpjson.written(found), JSON_TYPE)


def _resolved(box: Box, parts: list[str]) -> tuple[Action, tuple[str, ...]]:
    names = [part.replace("_", "").lower() for part in parts[:3]]
    action = box.actions.get("/".join(names)) if len(names) == 3 else None
    parameters = tuple(part for part in parts[3:] if part)
    old = not box.release.since(24, 7)
    if action is None:
        raise ApiError(400, {"message": "controller or action not found", "status": 400}) if old else not_found()
    if len(parameters) < action.needs:
        message = f"action {parts[2]} expects at least {action.needs} parameter(s)"
        raise ApiError(400, {"message": message, "status": 400}) if old else not_found()
    return action, parameters


def _allowed(box: Box, request: HttpRequest, path: str) -> User:
    header = request.header("Authorization")
    if not header:
        raise ApiError(302, None, location=f"/?url={path}")
    user = box.users.authenticated(header)
    if user is None:
        raise ApiError(401, {"status": 401, "message": "Authentication Failed"})
    if not user.allowed(path, box.release):
        raise ApiError(403, {"status": 403, "message": "Forbidden"})
    return user


def _body(box: Box, request: HttpRequest) -> Mapping[str, object]:
    kind = re.sub(r"\s", "", request.header("Content-Type")).lower()
    if kind in _JSON_BODY:
        if not request.body.strip():
            raise ApiError(400, {"status": 400, "message": "Invalid JSON syntax"})
        try:
            found = json.loads(request.body) if box.release.parses_json else None
        except ValueError:
            found = None  # broken but not empty: an empty POST (sheet 1)
            if not box.release.since(24, 7):
                raise ApiError(400, {"status": 400, "message": "Invalid JSON syntax"}) from None
        return found if isinstance(found, dict) else {}
    if kind.startswith("application/x-www-form-urlencoded") and request.method == "POST":
        return _form(request.body.decode(errors="replace"))
    return {}


def _form(text: str) -> dict[str, object]:
    """`server[name]=x` as PHP nests it."""
    found: dict[str, object] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        path = [name.partition("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        place = found
        for part in path[:-1]:
            deeper = place.setdefault(part, {})
            place = deeper if isinstance(deeper, dict) else place
        place[path[-1]] = value
    return found
