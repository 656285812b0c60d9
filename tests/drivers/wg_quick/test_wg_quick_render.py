"""Rendering is pure: plans in, one script out; and the words for what a script answers."""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from test_wg_quick_frames import CONF, DUMP, answer
from wg_quick_host import created, key, mark, own_key, plan, private_key

from fleet import (
    ActivateKey,
    AddPeer,
    AddRoute,
    Endpoint,
    Exec,
    Interface,
    KeyOf,
    Mark,
    Peer,
    Reapply,
    Rejected,
    RemovePeer,
    Reply,
    Route,
    Script,
    SetInterface,
    SetPeer,
    StageKey,
    Target,
)
from fleet.changes import Change
from fleet.driver import Observed, Probe
from fleet.drivers.wg_quick import Options, WgQuickDriver, scripts
from fleet.drivers.wg_quick.frames import read_frames
from fleet.drivers.wg_quick.read import observed
from fleet.errors import Unparseable, Unsupported

DRIVER = WgQuickDriver()


def seen(text: str = "", *, sudo: bool = False) -> Observed:
    return observed(read_frames(text or answer(CONF, DUMP)), DRIVER.limits, "acme", ("wg0",), sudo)


def render(*changes: Change, desired: Interface | None = None, sudo: bool = False) -> Script:
    wanted = desired or replace(seen().stored["wg0"])
    return DRIVER.render(plan(*changes, desired=wanted), seen(sudo=sudo))


def request(script: Script) -> Exec:
    (step,) = script.steps
    (only,) = step.requests
    assert isinstance(only, Exec)
    return only


def pune(**attributes: object) -> Peer:
    return replace(Peer(key(2), preshared_key=private_key(8), mark=mark("pune")), **attributes)  # type: ignore[arg-type]


def test_no_change_is_no_request() -> None:
    assert render().steps == ()


def test_all_changes_are_in_one_step_and_one_request() -> None:
    changes = (
        AddPeer(interface="wg0", wanted=pune()),
        AddRoute(interface="wg0", wanted=Route(ipaddress.ip_network("10.0.0.0/8"))),
    )
    script = render(*changes)
    assert script.steps[0].covers == changes
    request(script)


def test_the_same_plan_renders_the_same_script() -> None:
    change = AddPeer(interface="wg0", wanted=pune())
    assert render(change) == render(change)


def test_unchanged_lines_go_by_number_so_that_a_new_peer_costs_the_same_on_any_hub() -> None:
    shown = request(render(AddPeer(interface="wg0", wanted=pune()))).shown
    assert "!1-13\n=\n=[Peer]\n=# fleet:acme:pune\n" in shown


def test_a_secret_shows_as_stars_and_travels_as_a_secret() -> None:
    sent = request(render(AddPeer(interface="wg0", wanted=pune())))
    assert "=PresharedKey = ***\n" in sent.shown
    assert private_key(8) in sent.stdin
    assert private_key(8).reveal() not in repr(sent)
    assert private_key(9).reveal() not in repr(sent)


def test_a_preshared_key_that_does_not_change_is_not_sent_again() -> None:
    old = seen().stored["wg0"].peers[key(1)]
    sent = request(render(SetPeer(interface="wg0", old=old, wanted=replace(old, persistent_keepalive=25))))
    assert private_key(9) not in sent.stdin


def test_the_command_line_never_holds_more_than_the_shell() -> None:
    assert request(render(AddPeer(interface="wg0", wanted=pune()))).command == "sh -s"
    assert request(render(AddPeer(interface="wg0", wanted=pune()), sudo=True)).command == "sudo -n sh -s"


def test_a_write_is_never_marked_as_a_read() -> None:
    assert not request(render(AddPeer(interface="wg0", wanted=pune()))).reads


def test_files_are_checked_and_built_before_anything_runs_and_saved_last() -> None:
    shown = request(render(AddPeer(interface="wg0", wanted=pune()))).shown
    assert (
        shown.index("begin")
        < shown.index("file wg0.conf")
        < shown.index("stage")
        < shown.index("run wg0")
        < shown.index("save")
    )


def test_a_reapply_writes_no_file() -> None:
    shown = request(render(Reapply(interface="wg0"))).shown
    assert "file wg0.conf" not in shown
    assert "run wg0" in shown


def test_a_peer_that_goes_is_named_so_that_it_goes_from_the_kernel_even_if_no_file_has_it() -> None:
    assert f"forget wg0 {key(2)}" in request(render(RemovePeer(interface="wg0", old=pune()))).shown


def test_a_key_that_the_router_makes_is_not_sent() -> None:
    sent = request(render(StageKey(interface="wg0", key=KeyOf("hq"))))
    assert "stage_make wg0" in sent.shown


def test_a_disabled_peer_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(Unsupported, match="cannot keep a disabled peer"):
        render(SetPeer(interface="wg0", old=pune(), wanted=pune(disabled=True)))


@pytest.mark.parametrize("name", ["wg=0", "wg+0"])
def test_an_interface_name_that_units_cannot_carry_is_refused(name: str) -> None:
    wanted = Interface(name, own_key(), 51820, 1420, mark=mark())
    with pytest.raises(Unsupported, match="interface name"):
        render(*created(wanted), desired=wanted)


def test_hostile_names_cannot_reach_the_shell() -> None:
    # The types refuse them on construction; what is left is quoted or taken literally.
    for text in ("$(reboot)", "a;b", "a'b", "a\nb", "`x`"):
        with pytest.raises(ValueError, match="not a"):
            Endpoint(text, 1)
        assert Mark.find(f"fleet:acme:{text}") != Mark("acme", text)
        with pytest.raises(ValueError, match="not a"):
            Interface(text)


# ------------------------------------------------------------------------------------------------------------ guard
def guarded(*changes: Change, arm: bool = True, plan_id: str = "p1", observed: Observed | None = None) -> Script:
    made = replace(plan(*changes, desired=seen().stored["wg0"]), confirm_within=90, arm=arm, plan_id=plan_id)
    return DRIVER.render(made, observed or seen())


def test_under_guard_the_first_batch_arms_and_covers_nothing() -> None:
    change = AddPeer(interface="wg0", wanted=pune())
    (arming,), (writing,) = guarded(change).guarded
    assert arming.covers == ()
    assert arming.requests[0].native().endswith("begin acme\n    arm p1 90\n    finish")
    assert writing.covers == (change,)


def test_a_later_pass_does_not_arm_again() -> None:
    script = guarded(AddPeer(interface="wg0", wanted=pune()), arm=False)
    assert len(script.guarded) == 1
    assert "begin_guarded acme p1" in script.steps[0].requests[0].native()


def test_a_plan_without_changes_still_confirms_and_trips() -> None:
    script = guarded(arm=False)
    assert (script.guarded, len(script.confirm), len(script.trip)) == ((), 1, 1)


def test_without_a_guard_there_is_nothing_to_confirm_or_trip() -> None:
    script = render(AddPeer(interface="wg0", wanted=pune()))
    assert (script.confirm, script.trip) == ((), ())


def test_the_functions_travel_once_so_that_later_requests_stay_small() -> None:
    text = re.sub(r"@helper wg0 \S+", f"@helper wg0 {scripts.helper_digest()}", answer(CONF, DUMP))
    (arming,), (writing,) = guarded(AddPeer(interface="wg0", wanted=pune()), observed=seen(text)).guarded
    sizes = [sum(len(str(part)) for part in step.requests[0].stdin) for step in (arming, writing)]  # type: ignore[attr-defined]
    assert sizes[1] < sizes[0] / 3


def test_a_left_over_guard_is_tripped_by_its_own_name() -> None:
    text = answer(CONF, DUMP).replace("@end", "@guard dead-run 12\n@end")
    found = seen(text)
    assert (found.guard.plan_id, found.guard.fires_in) == ("dead-run", 12.0)  # type: ignore[union-attr]
    (request_,) = guarded(arm=False, observed=found).trip
    assert "guard_trip acme dead-run" in request_.native()


def test_a_read_while_something_of_ours_is_at_work_is_not_settled() -> None:
    assert not seen(answer(CONF, DUMP).replace("@end", "@busy\n@end")).settled


@pytest.mark.parametrize("plan_id", ["", "$(reboot)", "a b", "a\nb", "x" * 81])
def test_a_plans_name_that_is_no_word_of_the_shell_is_refused(plan_id: str) -> None:
    with pytest.raises(ValueError, match="not a plan's name"):
        guarded(AddPeer(interface="wg0", wanted=pune()), plan_id=plan_id)


# ----------------------------------------------------------------------------------------------------- interruption
def interrupts(*changes: Change) -> str:
    return render(*changes).steps[0].interrupts


def test_a_new_peer_interrupts_nothing() -> None:
    assert interrupts(AddPeer(interface="wg0", wanted=pune())) == "nothing"


def test_a_new_preshared_key_interrupts_that_peer() -> None:
    assert interrupts(SetPeer(interface="wg0", old=pune(), wanted=pune(preshared_key=private_key(6)))) == "peer"


def test_a_new_key_or_port_interrupts_the_interface() -> None:
    old = seen().stored["wg0"]
    assert interrupts(ActivateKey(interface="wg0", key=key(4))) == "interface"
    assert interrupts(SetInterface(interface="wg0", old=old, wanted=replace(old, listen_port=1))) == "interface"


def test_changed_allowed_ips_interrupt_nothing() -> None:
    wider = pune(allowed_ips=frozenset({ipaddress.ip_network("10.0.0.0/8")}))
    assert interrupts(SetPeer(interface="wg0", old=pune(), wanted=wider)) == "nothing"


# ------------------------------------------------------------------------------------------------------ what is said
def refused(code: int, error: str = "", text: str = "") -> Rejected:
    with pytest.raises(Rejected) as caught:
        DRIVER.check(request(render(AddPeer(interface="wg0", wanted=pune()))), Reply(text, error, code))
    return caught.value


@pytest.mark.parametrize("code", sorted(scripts.EXIT_CODES - {0, 1, 126, 127}))
def test_every_exit_code_has_its_sentence_and_a_next_action(code: int) -> None:
    error = refused(code, "fleet: the evidence\n")
    assert "the evidence" in error.summary
    assert error.hint


def test_sudo_that_asks_for_a_password_says_which_account_to_make() -> None:
    assert "without a password" in refused(1, "sudo: a password is required\n").hint


def test_a_missing_sudo_says_to_leave_it_out() -> None:
    assert "leave `sudo` out" in refused(127, "sh: 1: sudo: not found\n").hint


def test_a_script_that_did_not_reach_its_end_is_refused() -> None:
    assert "did not reach its end" in refused(0, text="something").summary


def test_evidence_never_holds_a_key() -> None:
    secret = private_key(9).reveal()
    assert secret not in str(refused(16, f"fleet: wg0: Key is not the correct length or format: `{secret}'\n"))


def test_a_finished_script_is_accepted() -> None:
    DRIVER.check(request(render(AddPeer(interface="wg0", wanted=pune()))), Reply("@done\n"))


@pytest.mark.parametrize(
    "text",
    [
        "3 packets transmitted, 2 received, 33% packet loss, time 2003ms\nrtt min/avg/max/mdev = 1.0/2.5/3.0/0.2 ms\n",
        "3 packets transmitted, 2 packets received, 33% packet loss\nround-trip min/avg/max = 1.0/2.5/3.0 ms\n",
    ],
)
def test_both_kinds_of_ping_are_read(text: str) -> None:
    result = DRIVER.probe(Probe(ipaddress.ip_address("10.0.0.1")), seen()).parse((Reply(text),))
    assert (result.sent, result.received, result.milliseconds) == (3, 2, 2.5)


def test_a_ping_that_says_nothing_known_is_an_error() -> None:
    with pytest.raises(Unparseable):
        DRIVER.probe(Probe(ipaddress.ip_address("10.0.0.1")), seen()).parse((Reply("", "ping: bad address"),))


def test_the_account_commands_name_the_one_command_that_sudo_allows() -> None:
    assert "fleet ALL=(root) NOPASSWD: /bin/sh -s" in DRIVER.account("fleet")


def test_a_user_name_that_is_no_user_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not a user name"):
        DRIVER.account("fleet; reboot")


# -------------------------------------------------------------------------------------------------------- the shells
ALL_TEXTS = {
    "observe": "".join(str(part) for part in scripts.observe("acme", sudo=False).stdin),
    "write": "".join(str(part) for part in request(render(AddPeer(interface="wg0", wanted=pune()))).stdin),
    "helper": scripts.helper(),
    "arm": "".join(str(part) for part in scripts.arm("acme", "p1", 60, sudo=False).stdin),
    "confirm": "".join(str(part) for part in scripts.confirm("acme", "p1", sudo=False).stdin),
}
SHELLS = [shell for shell in ("sh", "dash", "busybox sh", "bash --posix") if shutil.which(shell.split()[0])]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ALL_TEXTS)
def test_every_script_is_understood_by_every_shell(name: str, shell: str) -> None:
    done = subprocess.run([*shell.split(), "-n"], input=ALL_TEXTS[name].encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    # All files together, because they use each other's functions; SC2317 does not see calls that render adds.
    folder = Path(scripts.__file__).parent
    names = (*scripts._LIBRARY, "enter", "observe")
    assert {f"{name}.sh" for name in (*names, "helper")} == {path.name for path in folder.glob("*.sh")}
    text = "".join((folder / f"{name}.sh").read_text(encoding="utf-8") for name in names)
    command = ["shellcheck", "--shell=sh", "--exclude=SC2317", "-"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    assert done.stdout.decode() == ""


def test_what_a_read_sends_stays_under_22_kilobytes() -> None:
    assert sum(len(str(part)) for part in scripts.observe("acme", sudo=False).stdin) < 22_000


def test_no_script_holds_the_delimiter_of_its_documents() -> None:
    assert scripts.DELIMITER not in scripts.helper()


def test_options_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="sudoo"):
        Options.model_validate({"sudoo": True})


def test_the_target_alone_decides_about_sudo() -> None:
    class Recorder:
        target = Target("hq", "acme", ("wg0",), Options(sudo=True))

        def send(self, request: Exec) -> Reply:
            assert request.command == "sudo -n sh -s"
            return Reply(answer(CONF, DUMP))

        def send_all(self, requests: list[Exec]) -> list[Reply]:
            return [self.send(request) for request in requests]

    assert DRIVER.observe(Recorder()).native.sudo  # type: ignore[union-attr,arg-type]
