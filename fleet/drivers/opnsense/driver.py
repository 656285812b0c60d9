"""Driver `opnsense`: contract on one side, the firewall's REST API on the other."""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import BaseModel

from ... import (
    Driver,
    Forward,
    Http,
    Limit,
    Limits,
    Link,
    ListenPort,
    Management,
    Observed,
    Reply,
    Request,
    Rest,
    RouterPlan,
    Script,
)
from . import guard
from .api import DIALECT, judge
from .meaning import Native, observed_from
from .options import OpnsenseOptions
from .read import read
from .rules import INHERENT
from .values import LONGEST_NAME
from .write import Writer

CANNOT_STAGE: Final = "an OPNsense instance holds one key: the next one cannot wait beside it"


class OpnsenseDriver(Driver):
    """OPNsense 23.7 to 26.7: records written first, then loaded by one reconfigure and read back from the kernel."""

    name: ClassVar[str] = "opnsense"
    transport: ClassVar[str] = "rest"
    port: ClassVar[int] = 443
    dialect: ClassVar[Rest] = DIALECT
    Options: ClassVar[type[BaseModel]] = OpnsenseOptions
    limits: ClassVar[Limits] = Limits(
        unit="batch",
        guard="emulated",  # where the watchdog action is installed and named; stock releases have no undo (sheet 5)
        undo_seconds=61.0,  # cron counts in minutes
        makes_keys=False,  # key_pair shows the private half to the caller, and privkey is required (sheet 6)
        stages_keys=False,
        empty_allowed_ips=False,  # tunneladdress of a peer is required (sheet 2.3)
        batch=1,
        routes="derived",  # by the instance; static ones need an assignment that no API enables up to 26.7 (sheet 4)
        openings=frozenset({ListenPort, Forward, Management}) | INHERENT,  # the MSS clamp has no API (sheet 4)
        inherent=INHERENT,
        reresolve=True,
        mark_length=LONGEST_NAME,
        cannot=(Limit(frozenset({"StageKey", "DropStagedKey"}), CANNOT_STAGE),),
    )

    def observe(self, link: Link) -> Observed:
        """Four requests; one more where an endpoint is a name, two with a watchdog. Raises RouterError, Unparseable."""
        return observed_from(read(link), link.target, self.limits)

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        """Records, then one reconfigure; rules beside it. Raises Unsupported for what cannot be written."""
        assert isinstance(observed.native, Native)
        return Writer(plan, observed.native).script()

    def account(self, username: str) -> str | None:
        """A group and a user by hand; the key by a few lines on the console."""
        return _ACCOUNT.format(name=username)

    def check(self, request: Request, reply: Reply) -> None:
        """A no that comes as HTTP 200, and instances that somebody else changed since the read."""
        if isinstance(request, guard.Disarm):
            guard.judge(reply)
        elif isinstance(request, Http):
            judge(request, reply)


_ACCOUNT: Final = r"""# in the web interface, System > Access > Groups: add a group 'fleet' with the privileges
#   VPN: WireGuard: Configuration; Firewall: Rules [new]; System: Settings: Cron; Diagnostics: Configuration History
# System > Access > Users: add the user {name} to it, with a scrambled password and no shell
# then on the console, menu 8, as root; key and secret are shown once: `api_key:` and `api_secret:` of this router
cat > ~/key.php <<'PHP'
<?php require_once 'script/load_phalcon.php'; print_r((new \OPNsense\Auth\API())->createKey('{name}'));
PHP
/usr/local/bin/php ~/key.php; rm ~/key.php
"""
