"""The JSON Schema for editors and the key reference for people, both generated from the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .document import SECTIONS_BELOW
from .schema import MERGED, NAMED, SECTIONS, TEMPLATED, JumpKeys, OverlayKeys, RouterKeys, SharedKeys

_ENTRY_NAMES: Final = {"pattern": "^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one inventory file. A directory's files are each valid by themselves."""
    models = sorted(set(SECTIONS.values()), key=lambda model: model.__name__)
    _, generated = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    definitions = {name: _without_null(definition) for name, definition in sorted(generated["$defs"].items())}
    properties: dict[str, Any] = {}
    for section, model in SECTIONS.items():
        reference = {"$ref": f"#/$defs/{model.__name__}"}
        properties[section] = (
            {"type": "object", "propertyNames": _ENTRY_NAMES, "additionalProperties": reference}
            if section in NAMED
            else reference
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fleet inventory",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _without_null(schema: Any) -> Any:
    """A schema in which titles and `default: null`, noise of optional fields, are gone. Null itself stays allowed."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "default" and value is None) and key != "examples"}
    if isinstance(kept.get("title"), str):
        del kept["title"]
    return {key: _without_null(value) for key, value in kept.items()}


def key_reference() -> str:
    """Every key in Markdown: one table per section, from the descriptions in the models."""
    shared = (
        "Under `routers: {NAME: {...}}`, `groups: {NAME: {...}}` or `defaults:`. Precedence: router, its groups in the "
        "order it names them, defaults, overlay. "
        f"{_words(MERGED)} merge key by key; of all other keys the nearer level replaces the farther, `null` takes it away. "
        f"`{{name}}` and `{{labels.word}}` are filled in in {_words(TEMPLATED)} and `options`."
    )
    alone = [key for key in RouterKeys.model_fields if key not in SharedKeys.model_fields]
    parts = [
        _table("Overlay", "`overlay:`, the tunnel network.", _rows(OverlayKeys)),
        _table("Routers, groups and defaults", shared, _rows(SharedKeys)),
        _table("Routers only", "Under `routers: {NAME: {...}}`.", _rows(RouterKeys, only=alone)),
        *(_table(f"`{key}.`", (model.__doc__ or "").strip(), _rows(model, f"{key}.")) for key, model in SECTIONS_BELOW.items()),
        _table("Jumps", "Under `jumps: {NAME: {...}}`: SSH hosts that connections pass through.", _rows(JumpKeys)),
    ]
    return "\n".join(parts)


def _words(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _table(title: str, lead: str, rows: Iterator[str]) -> str:
    return "\n".join([f"### {title}", "", lead, "", "| key | meaning | example |", "|---|---|---|", *rows, ""])


def _rows(model: type[BaseModel], before: str = "", only: Sequence[str] = ()) -> Iterator[str]:
    for key, information in model.model_fields.items():
        if not only or key in only:
            example = information.examples[0] if information.examples else ""
            yield f"| `{before}{key}` | {information.description} | `{key}: {example}` |"
