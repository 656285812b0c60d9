"""Guarded runs by hand: arm, write, confirm, trip, and everything that runs as text to compare."""

from __future__ import annotations

import re
from dataclasses import replace

from wg_quick_host import DRIVER, Host, plan

from fleet import Interface, Observed, RouterPlan, Script, Secret
from fleet.changes import Change


def guarded(
    router: Host,
    *changes: Change,
    desired: Interface | None = None,
    window: int = 60,
    plan_id: str = "p1",
    arm: bool = True,
    keys: dict[str, Secret] | None = None,
    observed: Observed | None = None,
) -> Script:
    """The script of a guarded pass, rendered from a fresh read."""
    made: RouterPlan = replace(
        plan(*changes, desired=desired, keys=keys, target=router.target), plan_id=plan_id, confirm_within=window, arm=arm
    )
    return DRIVER.render(made, observed or router.observe())


def write(router: Host, script: Script) -> Script:
    """Send the guarded part."""
    for batch in script.guarded:
        for step in batch:
            router.send_all(step.requests)
    return script


def confirm(router: Host, plan_id: str = "p1") -> None:
    """What the core sends after verify."""
    router.send_all(guarded(router, plan_id=plan_id, arm=False).confirm)


def trip(router: Host, plan_id: str = "p1") -> None:
    """What the core sends when something is wrong."""
    router.send_all(guarded(router, plan_id=plan_id, arm=False).trip)


def running(router: Host) -> str:
    """Everything that runs, in a stable order, without counters, times and handles."""
    shown = router.run(
        "for i in $(wg show interfaces | tr ' ' '\\n' | sort); do wg showconf $i; wg show $i endpoints | sort; done;"
        "ip -o link show; ip -o addr show; ip route show; ip -6 route show; nft list ruleset;"
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"
    )
    # An interface that came back has another number.
    shown = re.sub(r"^\d+: (\w+): .* mtu (\d+) .*$", r"\1 mtu \2", shown, flags=re.MULTILINE)
    shown = re.sub(r"^\d+: ", "", shown, flags=re.MULTILINE)
    # The kernel keeps peers in the order in which they came; what stands indented goes with its line.
    return "\n".join(sorted(block.strip() for block in re.split(r"\n\n|\n(?=\S)", shown)))


def files(router: Host) -> str:
    """Every file that survives a restart, with its mode, time and content; temporary ones would show."""
    return router.run(
        "find /etc/wireguard /etc/rc.local /etc/systemd/system/fleet* /etc/cron.d/fleet* -type f 2>/dev/null | sort |"
        " while read -r f; do stat -c '%n %a %y' $f; cat $f; done"
    )
