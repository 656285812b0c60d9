"""The system menus of the simulated router: services, clock, scheduler, accounts, files (sheet sections 1.7, 5, 6)."""

from __future__ import annotations

from typing import Final

from .schema import COMMENT, DISABLED, INVALID, LIST, READ, SINGLE, Field, Menu, shown
from .values import choice, duration, flag, label, number, text

SERVICE: Final = Menu(
    "/ip/service",
    (
        shown("name"),
        Field("port", number(0, 65535)),
        Field("address", text, default=""),
        Field("certificate", text, absent=frozenset({""})),
        Field("tls-version", choice("any", "only-1.2"), absent=frozenset({""})),
        Field("vrf", choice("main"), default="main"),
        Field("max-sessions", number(1, 1000), since=(7, 16), default="20"),
        Field("available-from", text, since=(7, 24), absent=frozenset({""})),
        INVALID,
        DISABLED,
    ),
    verbs=READ | {"set", "enable", "disable"},
)

SYSTEM: Final = (
    SERVICE,
    Menu(
        "/system/resource",
        tuple(
            shown(name)
            for name in (
                "uptime",
                "version",
                "build-time",
                "free-memory",
                "total-memory",
                "cpu",
                "cpu-count",
                "cpu-load",
                "free-hdd-space",
                "total-hdd-space",
                "architecture-name",
                "board-name",
                "platform",
            )
        ),
        verbs=READ,
        single=True,
    ),
    Menu("/system/identity", (Field("name", label),), verbs=SINGLE, single=True),
    Menu(
        "/system/clock",
        (Field("time", text), Field("date", text), Field("time-zone-name", text, default="UTC"), shown("gmt-offset", "+00:00")),
        verbs=SINGLE,
        single=True,
    ),
    Menu("/system/package", (shown("name"), shown("version"), shown("build-time"), shown("disabled", "false")), verbs=READ),
    Menu(
        "/system/device-mode",
        tuple(shown(name) for name in ("mode", "flagged", "scheduler", "fetch", "container", "flagging-enabled")),
        verbs=READ,
        single=True,
    ),
    Menu(
        "/system/scheduler",
        (
            Field("name", label),
            Field("start-date", text),
            Field("start-time", text),
            Field("interval", duration(0, 86400 * 365), default="0s"),
            Field("days", text, since=(7, 24), absent=frozenset({""})),
            Field("on-event", text, default=""),
            Field("policy", text),
            shown("owner"),
            shown("run-count", "0"),
            shown("next-run"),
            DISABLED,
            COMMENT,
        ),
        verbs=LIST,
    ),
    Menu(
        "/system/script",
        (
            Field("name", label),
            shown("owner"),
            Field("policy", text),
            Field("dont-require-permissions", flag, default="false"),
            shown("last-started"),
            shown("run-count", "0"),
            Field("source", text, default=""),
            shown("invalid", "false"),
            COMMENT,
        ),
        verbs=READ | {"add", "set", "remove", "comment"},
    ),
    Menu(
        "/user",
        (
            Field("name", label, required=True),
            Field("group", label, required=True),
            Field("address", text, default=""),
            Field("password", text, default="", hidden=True),
            Field("inactivity-timeout", duration(0, 86400), since=(7, 16), default="10m"),
            Field("inactivity-policy", choice("none", "lockscreen", "logout"), since=(7, 16), default="none"),
            shown("last-logged-in"),
            shown("expired", "false"),
            DISABLED,
            COMMENT,
        ),
        policy="policy",
    ),
    Menu(
        "/user/group",
        (
            Field("name", label, required=True),
            Field("policy", text, default=""),
            Field("skin", text, default="default"),
            COMMENT,
        ),
        verbs=READ | {"add", "set", "remove", "comment"},
        policy="policy",
    ),
    Menu(
        "/user/active",
        (shown("when"), shown("name"), shown("address"), shown("via"), shown("group")),
        verbs=READ | {"request-logout", "remove"},
        policy="policy",
    ),
    Menu(
        "/safe-mode",
        (shown("enabled"), shown("user"), shown("current"), shown("owner")),
        verbs=READ,
        since=(7, 18),
        single=True,
    ),
    Menu("/log", (shown("time"), shown("topics"), shown("message")), verbs=READ),
    Menu(
        "/file",
        (
            Field("name", label, required=True),
            shown("type", "file"),
            shown("size"),
            Field("contents", text, default=""),
            shown("last-modified"),
        ),
        verbs=READ | {"add", "set", "remove"},
        policy="ftp",
    ),
)
