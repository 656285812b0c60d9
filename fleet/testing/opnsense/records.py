"""Records of one kind behind get, add, set, del, toggle and search, as ApiMutableModelControllerBase serves them (sheet 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from . import grid
from .call import Action, Actions, Call
from .fields import Fields, defaults, failures, stored, updated
from .refusal import UserRefusal
from .store import Config, Record, copied

if TYPE_CHECKING:
    from .box import Box

FAILED: Final = {"result": "failed"}
UUID: Final = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def failed(validations: Mapping[str, object]) -> dict[str, object]:
    """A validation failure: status 200."""
    return {"result": "failed", "validations": dict(validations)}


def in_order(fields: Fields, wrong: Mapping[str, Any]) -> dict[str, Any]:
    """Messages in the order of the model's fields."""
    place = {one.name: number for number, one in enumerate(fields)}
    return dict(sorted(wrong.items(), key=lambda entry: place.get(entry[0].rpartition(".")[2], len(place))))


class Records:
    """One section of the configuration. `root`: the key of posts and of `get`."""

    def __init__(self, box: Box, section: str, root: str, fields: Fields) -> None:
        self.box, self.section, self.root, self.fields = box, section, root, fields
        self.switch = "disabled" if any(one.name == "disabled" for one in fields) else "enabled"

    locks = False
    """True where add and set held the lock before 25.1.3 already."""

    # --- for the kinds that differ --------------------------------------------------------------------------------------

    def fresh(self, config: Config) -> dict[str, str]:
        """A record with defaults."""
        return defaults(self.fields)

    def view(self, config: Config, key: str, record: Record) -> Mapping[str, str]:
        """A stored record with what is computed."""
        return {one.name: one.read(key, record) if one.read else record.get(one.name, "") for one in self.fields}

    def also(self, draft: Config, key: str, posted: Mapping[str, object]) -> None:
        """What a checked write changes beside the record."""

    def check(self, config: Config, key: str, values: Mapping[str, str], prefix: str) -> dict[str, Any]:
        """Validation of one record."""
        return failures(self.fields, values, prefix, self.box, config)

    def deleted(self, draft: Config, keys: str) -> None:
        """What a removal changes beside the record; `keys` as in the path."""

    # --- actions --------------------------------------------------------------------------------------------------------

    def actions(self, prefix: str, noun: str) -> Actions:
        """`prefix/addnoun` and the others."""
        return {
            f"{prefix}/get{noun}": Action(self.get),
            f"{prefix}/add{noun}": Action(self.add),
            f"{prefix}/set{noun}": Action(self.set, 1),
            f"{prefix}/del{noun}": Action(self.delete, 1),
            f"{prefix}/toggle{noun}": Action(self.toggle, 1),
            f"{prefix}/search{noun}": Action(self.search),
        }

    def get(self, call: Call) -> object:
        """A record, a template without uuid, `[]` for one that is not there."""
        config, key = self.box.store.current, call.parameter()
        if key is None:
            return {self.root: self.shown(config, "", self.fresh(config))}
        record = config[self.section].get(key)
        return [] if record is None else {self.root: self.shown(config, key, record)}

    def shown(self, config: Config, key: str, record: Record) -> dict[str, object]:
        """A record as `get` shows it."""
        values = self.view(config, key, record)
        return {one.name: one.shown(values[one.name], self.box, config) for one in self.fields}

    def add(self, call: Call) -> object:
        """A new record under a uuid of its own."""
        posted = call.root(self.root)
        if posted is None:
            return FAILED
        key = self.box.new_uuid()
        answer = self.write(call, key, posted)
        return answer | {"uuid": key} if answer.get("result") == "saved" else answer

    def set(self, call: Call) -> object:
        """Change a record; a uuid that is not there makes it, text that is no uuid does nothing (sheet 2.3)."""
        posted, key = call.root(self.root), call.parameter()
        if posted is None or key is None or not UUID.fullmatch(key):
            return FAILED
        return self.write(call, key, posted)

    def write(self, call: Call, key: str, posted: Mapping[str, object]) -> dict[str, object]:
        """Merge, validate the whole record, store it with what belongs to it, in one revision."""
        self.box.may_write(call)
        draft = self.box.draft(locked=self.locks)
        wrong = self.merge(draft, key, posted, self.root)
        if wrong:
            return failed(wrong)
        self.also(draft, key, posted)
        self.box.save(call, draft)
        return {"result": "saved"}

    def merge(self, draft: Config, key: str, posted: Mapping[str, object], prefix: str) -> dict[str, Any]:
        """Put posted values into the draft; what validation says."""
        record = draft[self.section].get(key) or self.fresh(draft)
        values = updated(self.fields, record, posted, self.box.release)
        wrong = in_order(self.fields, self.check(draft, key, values, prefix))
        draft[self.section][key] = stored(self.fields, values)
        return wrong

    def delete(self, call: Call) -> object:
        """Remove one record, or, from 26.1.3, a comma list of them."""
        if not call.posted:
            return FAILED
        self.box.may_write(call)
        asked = call.parameter() or ""
        keys = asked.split(",") if self.box.release.since(26, 1, 3) else [asked]
        draft = self.box.draft(locked=True)
        gone = [draft[self.section].pop(key, None) for key in keys]
        if not any(record is not None for record in gone):
            return {"result": "not found"}
        self.deleted(draft, asked)
        self.box.save(call, draft)
        return {"result": "deleted"}

    def toggle(self, call: Call) -> object:
        """Flip a record. An explicit state in the path counts only where `explicit` does (sheet 2.1, 4)."""
        if not call.posted:
            return FAILED
        self.box.may_write(call)
        key = call.parameter() or ""
        if "," in key and self.box.release.since(26, 1):
            raise UserRefusal("Toggle with a list of items in only supported for explicit actions [0,1]", "Toggle")
        record = self.box.store.current[self.section].get(key)
        if record is None:
            return FAILED
        wanted = self.wanted(call, record)
        draft = copied(self.box.store.current)
        draft[self.section][key] = {**record, self.switch: wanted}
        self.box.save(call, draft)
        on = (wanted == "1") != (self.switch == "disabled")
        return {"result": "Enabled" if on else "Disabled", "changed": record[self.switch] != wanted}

    def wanted(self, call: Call, record: Record) -> str:
        """The state after a toggle: the other one."""
        return "0" if record[self.switch] == "1" else "1"

    def search(self, call: Call) -> object:
        """The grid."""
        config = self.box.store.current
        rows = [self.row(config, key, record) for key, record in config[self.section].items()]
        return grid.page(rows, call.post)

    def row(self, config: Config, key: str, record: Record) -> dict[str, str]:
        """One row of the grid."""
        values = self.view(config, key, record)
        found = {"uuid": key}
        for one in self.fields:
            text = one.described(values[one.name], self.box, config)
            if self.box.release.since(25, 7):
                found[one.name] = values[one.name]
                if text != values[one.name]:
                    found[f"%{one.name}"] = text
            elif not one.volatile or one.choices is not None:
                found[one.name] = text
        return found


class Explicit(Records):
    """Records whose toggle takes the state from the path."""

    def wanted(self, call: Call, record: Record) -> str:
        """`/0` or `/1`, else the other one."""
        state = call.parameter(1)
        if state in ("0", "1"):
            return state if self.switch == "enabled" else str(1 - int(state))
        return super().wanted(call, record)
