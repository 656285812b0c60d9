"""config.xml as text, for the download and the diff of revisions."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape


def document(config: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """The whole file. Private keys and hashes are in it, as on the real box (sheet 5)."""
    lines = ['<?xml version="1.0"?>', "<opnsense>"]
    for section, records in config.items():
        lines.append(f"  <{section}>")
        for key, record in records.items():
            tag, attribute = ("item", f' uuid="{key}"') if "-" in key else (key or "general", "")
            lines.append(f"    <{tag}{attribute}>")
            lines += [f"      {_element(name, value)}" for name, value in record.items()]
            lines.append(f"    </{tag}>")
        lines.append(f"  </{section}>")
    return "\n".join([*lines, "</opnsense>", ""])


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>" if value else f"<{name}/>"
