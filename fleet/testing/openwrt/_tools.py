"""Which command is which stand-in on a router, and which applets of busybox are real."""

from __future__ import annotations

from typing import Final

from ..linux import _nft, _wg
from ..linux import _small as linux
from ..linux._call import Tool
from . import _access, _busyip, _daemons, _fw4, _ifcmd, _init, _ping, _small, _ubus, _uci, _writer

WRITERS: Final = frozenset({"cat", "cp", "mv", "ln", "mkdir", "touch", "tee", "dd", "mktemp", "sed", "rm", "rmdir", "chmod"})
"""Applets that are stand-ins while the flash is full or read-only."""

TOOLS: Final[dict[str, Tool]] = dict.fromkeys(sorted(WRITERS), _writer.writer) | {
    "uci": _uci.uci,
    "ubus": _ubus.ubus,
    "wg": _wg.wg,
    "wireguard_watchdog": _ifcmd.watchdog,
    "ip": _busyip.ip,
    "nft": _nft.nft,
    "fw4": _fw4.fw4,
    "fw3": _fw4.fw4,
    "ifup": _ifcmd.ifup,
    "ifdown": _ifcmd.ifdown,
    "ifstatus": _ifcmd.ifstatus,
    "opkg": _ifcmd.opkg,
    "apk": _ifcmd.apk,
    "logread": _small.logread,
    "logger": _small.logger,
    "reload_config": _init.reload_config,
    "service": _init.service,
    ".rc": _init.rc,
    "jsonfilter": _small.jsonfilter,
    "lock": _small.lock,
    "start-stop-daemon": _daemons.start_stop_daemon,
    "sysctl": _small.sysctl,
    "ping": _ping.ping,
    "ping6": _ping.ping,
    "date": linux.date,
    "sleep": _small.sleep,
    "id": linux.ident,
    "crontab": _small.crontab,
    "modprobe": linux.modprobe,
    "uname": _small.uname,
    "hostname": _small.hostname,
    "pgrep": _daemons.pgrep,
    "pidof": _daemons.pidof,
    "ps": _daemons.ps,
    "df": _small.df,
    "reboot": _small.reboot,
    "passwd": _access.passwd,
}

UNLOCKED: Final = WRITERS | frozenset({"sleep", "ping", "ping6", "reboot", "logread", "logger"})
"""Stand-ins that wait for others, or touch nothing of the kernel's."""

APPLETS: Final[tuple[str, ...]] = tuple(
    """
    sh ash cat sed awk grep egrep fgrep mktemp mv cp ln rm mkdir rmdir chmod chown touch sync dd
    sort uniq tr cut head tail wc tee cmp md5sum sha256sum printf echo hexdump
    ls find xargs dirname basename readlink test [ true false env expr setsid kill
    gzip gunzip zcat tar seq which du time clear strings yes
    """.split()  # noqa: SIM905 - sixty quoted words would hide the list
)
"""Applets of OpenWrt's default busybox (capture 6). It lacks timeout, nohup, base64, stat, od, diff, pkill, tty, realpath."""

PLACES: Final = {
    "uci": "sbin", "ubus": "bin", "wg": "usr/bin", "wireguard_watchdog": "usr/bin", "ip": "sbin", "nft": "usr/sbin",
    "fw4": "sbin", "fw3": "sbin", "ifup": "sbin", "ifdown": "sbin", "ifstatus": "sbin", "opkg": "bin", "apk": "usr/bin",
    "logread": "sbin", "jsonfilter": "usr/bin", "start-stop-daemon": "sbin", "sysctl": "sbin", "ping": "bin",
    "reload_config": "sbin", "service": "sbin", "lock": "bin", "crontab": "usr/bin", "logger": "usr/bin",
}  # fmt: skip
"""Where a router has them: scripts ask `[ -x /usr/bin/wg ]`. PATH has one directory for all."""
