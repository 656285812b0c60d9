"""JSON as PHP writes it: slashes escaped, nothing between tokens, and an empty array where others have an empty object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def written(value: object, *, slashes: bool = True) -> bytes:
    """One reply body. `slashes`: escaped, as in every reply but errors (sheet 2.4)."""
    text = json.dumps(value, separators=(",", ":"))
    return (text.replace("/", "\\/") if slashes else text).encode()


def array(entries: Mapping[str, Any]) -> object:
    """A PHP array with keys: an object, or `[]` when nothing is in it."""
    return dict(entries) or []
