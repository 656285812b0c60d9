"""Several writes in one request (sheet 8)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from ..access import NO_RIGHT
from ..codes import Refused, invalid
from ..settings import Json
from .registry import Call, operation

MOST = 20


@operation("POST", "/openapi/v1/{omadacId}/batch", NO_RIGHT)
def batch(call: Call) -> Json:
    """1 to 20 actions in order. By default the first refusal interrupts; what was done before it stays done."""
    actions = call.body.get("actions")
    interrupt = call.body.get("interrupt", True)
    if not isinstance(actions, list) or not 1 <= len(actions) <= MOST or not isinstance(interrupt, bool):
        raise invalid("actions, interrupt")
    checked = [_action(one) for one in actions]
    answers: list[Json] = []
    refused = False
    for method, path, query, body in checked:
        if refused and interrupt:
            answers.append(call.controller.envelope(Refused(-1619)))
            continue
        answers.append(call.controller.perform(call.application, method, path, query, body))
        refused = refused or answers[-1]["errorCode"] != 0
    return {"response": answers}


def _action(action: object) -> tuple[str, str, Mapping[str, str], Json]:
    """No GET, no files; `body` is an object. The schema's type says string, its text object: only the object is taken."""
    if not isinstance(action, Mapping) or action.get("method") not in {"POST", "PATCH", "PUT", "DELETE"}:
        raise invalid("actions")
    path, query, body = action.get("path"), action.get("query") or {}, action.get("body") or {}
    if isinstance(query, str):
        query = dict(parse_qsl(query))
    if not isinstance(path, str) or not isinstance(query, Mapping) or not isinstance(body, Mapping) or path.endswith("/batch"):
        raise invalid("actions")
    return str(action["method"]), path, {name: str(value) for name, value in query.items()}, dict(body)
