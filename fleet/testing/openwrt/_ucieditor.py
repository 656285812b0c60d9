"""Edits as `uci set` and its like make them."""

from __future__ import annotations

import copy
import re

from ._ucifile import Section, Value, valid_name
from ._ucistore import INVALID, NOT_FOUND, Delta, Store, Target, UciError, replay


class Editor:
    """Edits of one package as `uci set` and its like make them: looked up, checked, applied in memory and staged."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.package = store.load(name)

    def section(self, name: str) -> Section | None:
        """A section by name or by `@type[index]`. Raises UciError."""
        if not name.startswith("@"):
            return self.package.section(name)
        match = re.match(r"@([^\[]*)\[(-?\d+)\]\Z", name)
        if match is None:
            raise UciError(INVALID)
        found = self.package.of_type(match[1]) if match[1] else self.package.sections
        index = int(match[2])
        index = index + len(found) if index < 0 else index
        if not 0 <= index < len(found):
            raise UciError(NOT_FOUND)
        return found[index]

    def value(self, target: Target) -> Value | Section:
        """What `get` and `show` mean by a target. Raises UciError."""
        section = self.section(target.section)
        if section is None:
            raise UciError(NOT_FOUND)
        if not target.option:
            return section
        value = section.options.get(target.option)
        if value is None:
            raise UciError(NOT_FOUND)
        return value

    def stage(self, delta: Delta) -> None:
        """Apply and remember. Raises UciError."""
        replay(self.package, delta)
        self.store.stage(self.package.name, delta)

    def add(self, kind: str) -> str:
        """A new anonymous section; its name. The type is not checked (sheet 2.2)."""
        name = copy.deepcopy(self.package).add(kind).name
        self.stage(Delta("+", name, value=kind))
        return name

    def set(self, target: Target) -> None:
        """Raises UciError."""
        if target.value is None or not target.section:
            raise UciError(INVALID)
        section = self.section(target.section)
        if target.option and not valid_name(target.option):
            raise UciError("Parse error")
        if not target.value:
            if section is not None and (not target.option or target.option in section.options):
                self.delete(target)
            elif section is None:
                raise UciError(INVALID)
        elif target.option:
            self._set_option(section, target)
        elif section is not None and section.type == target.value:
            return
        elif section is None and not valid_name(target.section):
            raise UciError(INVALID)
        else:
            self.stage(Delta("", section.name if section else target.section, value=target.value))

    def _set_option(self, section: Section | None, target: Target) -> None:
        if section is None:
            raise UciError(INVALID)
        if section.options.get(target.option) != target.value:  # an equal value stages nothing (sheet 2.2)
            self.stage(Delta("", section.name, target.option, target.value))

    def listed(self, target: Target, mark: str) -> None:
        """add_list (`|`) and del_list (`~`). Raises UciError."""
        section = self.section(target.section) if target.section else None
        if section is None or target.value is None or not target.option:
            raise UciError(INVALID)
        if not valid_name(target.option):
            raise UciError("Parse error")
        if mark == "|" or isinstance(section.options.get(target.option), list):
            self.stage(Delta(mark, section.name, target.option, target.value))

    def delete(self, target: Target) -> None:
        """Raises UciError."""
        if not target.section:
            raise UciError(INVALID)
        self.value(Target(target.package, target.section, target.option))
        section = self.section(target.section)
        assert section is not None
        self.stage(Delta("-", section.name, target.option))

    def rename(self, target: Target) -> None:
        """Raises UciError."""
        self.value(target)
        section = self.section(target.section)
        if section is None or target.value is None or not valid_name(target.value):
            raise UciError(INVALID)
        self.stage(Delta("@", section.name, target.option, target.value))

    def reorder(self, target: Target) -> None:
        """Raises UciError."""
        section = self.section(target.section)
        if section is None:
            raise UciError(NOT_FOUND)
        if target.value is None or not target.value.isdigit():
            raise UciError(INVALID)
        self.stage(Delta("^", section.name, value=target.value))
