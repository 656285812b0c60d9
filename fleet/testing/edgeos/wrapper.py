"""The programs of /opt/vyatta: vyatta-cfg-cmd-wrapper, cli-shell-api, vyatta-op-cmd-wrapper. Sheet 2.4, captures 7 and 8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..linux._call import Call, Refused
from .backend import Session, scope, set_lines, subtree
from .calls import EdgeCall, edge
from .edit import Said
from .templates import NotValid, walk
from .text import Style
from .tree import Node, ordered

NO_SESSION: Final = "calling validateSetPath() without config session"


def speak(call: Call, said: Said) -> int:
    """Print what the backend said."""
    call.out(said.text, end="")
    return said.code


def cfg_wrapper(call: Call) -> int:
    """vyatta-cfg-cmd-wrapper VERB WORDS: one session per calling shell."""
    me, verb = edge(call), call.argv[0] if call.argv else ""
    me.argv = [me.edge.as_said(word) for word in me.argv]
    _need_rights(me)
    sessions, name = me.edge.backend.sessions, me.session_id()
    if verb == "begin":
        sessions.setdefault(name, Session())
        me.edge.leave_traces(name)
        return 0
    if verb == "end":
        me.edge.leave_no_traces(name)
        return 0 if sessions.pop(name, None) is not None else 1
    if verb not in _VERBS:
        call.out("")
        call.out(f"  Invalid command: [{verb}]")
        call.out("")
        return 1
    if name not in sessions:
        call.out(NO_SESSION)
        return 1
    me.edge.acting = me
    return _VERBS[verb](me, sessions[name], tuple(call.argv[1:]))


def _need_rights(call: EdgeCall) -> None:
    user = call.user
    if not (user.uid == 0 or (user.member and user.level == "admin")):
        raise Refused(f"{call.name}: Permission denied", 126)


def _edit(call: EdgeCall, session: Session, words: tuple[str, ...]) -> int:
    return speak(call, call.edge.backend.edit(session, call.argv[0], words))


def commit(call: EdgeCall, session: Session, words: tuple[str, ...]) -> int:
    """`commit`, with or without a comment."""
    if words[:1] == ("confirm",):
        changed = call.edge.backend.changed(session)
        return speak(call, Said("Use commit-confirm command\n" if changed else "No configuration changes to commit\n", 1))
    if not call.edge.backend.busy and not call.edge.backend.changed(session):
        return 0  # silent here, not at the prompt (captures 7 and 1)
    return speak(call, call.edge.commit(session, call))


def _save(call: EdgeCall, session: Session, words: tuple[str, ...]) -> int:
    return speak(call, call.edge.backend.save(session, words[0] if words else ""))


def _load(call: EdgeCall, session: Session, words: tuple[str, ...]) -> int:
    return speak(call, call.edge.backend.load(session, words[0] if words else "", merge=call.argv[0] == "merge"))


def _discard(call: EdgeCall, session: Session, words: tuple[str, ...]) -> int:
    return speak(call, call.edge.backend.discard(session))


def _show(call: EdgeCall, session: Session, words: tuple[str, ...]) -> int:
    return speak(call, call.edge.backend.show(session, words))


def _comment(call: EdgeCall, session: Session, words: tuple[str, ...]) -> int:
    return speak(call, call.edge.backend.comment(session, words[:-1], words[-1]))


_VERBS: Final[dict[str, Callable[[EdgeCall, Session, tuple[str, ...]], int]]] = {
    "set": _edit, "delete": _edit, "commit": commit, "save": _save, "load": _load, "merge": _load, "discard": _discard,
    "cleanup": _discard, "show": _show, "comment": _comment,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------- cli-shell-api
def shell_api(call: Call) -> int:
    """cli-shell-api OPERATION WORDS: reading, fast. Answers by exit status where there is nothing to print."""
    me = edge(call)
    words = list(call.argv)
    flags = {word for word in words if word.startswith("--")}
    words = [word for word in words if not word.startswith("--")]
    operation, path = (words[0], tuple(words[1:])) if words else ("", ())
    session = me.edge.backend.sessions.get(me.session_id())
    if operation in {"showCfg", "showConfig"}:
        return _show_api(me, session, flags, path)
    backend = me.edge.backend
    working = backend.active if session is None else backend.working(session)
    active_only = "Active" in operation or "Effective" in operation
    tree = backend.active if active_only else working
    kind = operation.replace("Active", "").replace("Effective", "").replace("Orig", "")
    if kind in _READS:
        return _READS[kind](me, tree, path)
    if operation == "sessionChanged":
        return 0 if session is not None and backend.changed(session) else 1
    if operation == "sessionUnsaved":
        return 0 if session is not None and session.unsaved else 1
    if operation == "inSession":
        return 0 if session is not None else 1
    if operation == "validateTmplPath":
        return _template_path(me, path)
    raise Refused(f"Invalid operation [{operation}]", 1)


def _show_api(call: EdgeCall, session: Session | None, flags: set[str], path: tuple[str, ...]) -> int:
    backend = call.edge.backend
    active = backend.active
    working = active if session is None or "--show-active-only" in flags else backend.working(session)
    working = backend.working(session) if session is not None and "--show-working-only" in flags else working
    defaults = "--show-show-defaults" in flags
    if "--show-commands" in flags:
        found = scope(working, backend.schema, path)
        if found is None:
            call.out("Specified configuration path is not valid")
            return 1
        call.out(set_lines(*found, defaults=defaults), end="")
        return 0
    marks = session is not None and not flags & {"--show-active-only", "--show-working-only"}
    style = Style(marks=marks, defaults=defaults, secrets="--show-hide-secrets" not in flags)
    old = active if marks else working
    text = subtree(old, working, backend.schema, path, style)
    if text is None:
        call.out("Specified configuration path is not valid")
        return 0
    if not text:
        call.out("Configuration under specified path is empty") if path else None
        return 0
    call.out(text, end="")
    return 0


def _value(call: EdgeCall, tree: Node, path: tuple[str, ...]) -> int:
    found = tree.value(*path) if tree.has(*path) else None
    if found is None:
        return 1
    call.out(found, end="")
    return 0


def _values(call: EdgeCall, tree: Node, path: tuple[str, ...]) -> int:
    """Single-quoted words without a line end (sheet 2.4)."""
    if not tree.has(*path):
        return 1
    call.out(" ".join(f"'{word}'" for word in tree.values(*path)), end="")
    return 0


def _nodes(call: EdgeCall, tree: Node, path: tuple[str, ...]) -> int:
    call.out(" ".join(f"'{word}'" for word in ordered(tree.values(*path))), end="")
    return 0


def _exists(call: EdgeCall, tree: Node, path: tuple[str, ...]) -> int:
    return 0 if tree.has(*path) else 1


def _template_path(call: EdgeCall, path: tuple[str, ...]) -> int:
    try:
        walk(call.edge.backend.schema, path)
    except NotValid:
        return 1
    return 0


_READS: Final = {"returnValue": _value, "returnValues": _values, "listNodes": _nodes, "exists": _exists}


def op_wrapper(call: Call) -> int:
    """vyatta-op-cmd-wrapper WORDS: a command of operational mode."""
    me = edge(call)
    return me.edge.operational(me, list(call.argv))


def current_version(call: Call) -> int:
    """vyatta_current_conf_ver.pl: the footer of config.boot."""
    from .text import footer

    call.out(footer(edge(call).edge.release), end="")
    return 0
