"""`{name}` and `{labels.word}` inside texts."""

from __future__ import annotations

import re
from typing import Final

from .problems import Refused, shown

_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{(name|labels\.[A-Za-z0-9_.-]+)\}")
_LOOKS_LIKE_ONE: Final = re.compile(r"(?<!\$)\{[A-Za-z_][A-Za-z0-9_.-]*\}")
_SAFE_IN_COMMAND: Final = re.compile(r"[A-Za-z0-9_.,@:/+=-]*")


def has_placeholder(text: str) -> bool:
    """True if `{name}`, `{labels.x}` or a misspelling of them is still in the text."""
    return bool(_LOOKS_LIKE_ONE.search(text))


def filled(text: str, router: str, labels: dict[str, str]) -> str:
    """The text with `{name}` and `{labels.x}` replaced. Raises Refused for labels that do not exist.

    In `cmd:` a label must be harmless to a shell, since labels come from spreadsheets too; and other braces are
    the command's own.
    """
    command = text.startswith("cmd:")

    def put(found: re.Match[str]) -> str:
        if found[1] == "name":
            return router
        key = found[1].removeprefix("labels.")
        if key not in labels:
            known = ", ".join(sorted(labels)) or "none"
            raise Refused(f"{found[0]}: {router} has no label {shown(key)}", f"add it under `labels:`; it has {known}")
        if command and not _SAFE_IN_COMMAND.fullmatch(labels[key]):
            raise Refused(f"label {key} of {router} holds characters that a shell would obey", "simplify the label")
        return labels[key]

    result = _PLACEHOLDER.sub(put, text)
    unknown = None if command else _LOOKS_LIKE_ONE.search(_PLACEHOLDER.sub("", text))
    if unknown:
        raise Refused(f"nothing is known to fill in for {shown(unknown[0])}", "use {name} or {labels.WORD}")
    return result
