"""What an account lacks, said before anything is written. Sections are of the vendor sheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from mikrotik_device import MINIMAL, PASSWORD, SimulatedRouter
from mikrotik_rows import DRIVER, RowLink, hub

from fleet import Observed, Rejected, Target
from fleet.testing.routeros import RouterosSimulator

Make = Callable[..., SimulatedRouter]
ALL = {"read", "write", "api"}


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[SimulatedRouter] = []

    def one(policies: str, **given: object) -> SimulatedRouter:
        made.append(SimulatedRouter(policies=policies, **given))  # type: ignore[arg-type]  # checked by the simulator
        return made[-1]

    yield one
    for each in made:
        each.close()


def asked(router: SimulatedRouter, username: str = "fleet") -> Observed:
    target = Target("subject", "acme", ("wg0",), username=username, asks=frozenset({"rights"}))
    return DRIVER.observe(router.link(target))


def lacking(observed: Observed) -> set[str]:
    return {match[1] for sentence in observed.rights if (match := re.search(r"lacks policy (\w+)", sentence))}


@pytest.mark.parametrize("release", ["7.1.5", "7.16.2", "7.24"])
@pytest.mark.parametrize(
    ("policies", "missing"),
    [
        (MINIMAL, set()),
        ("read,write,api,test", set()),
        ("read,write,api,sensitive", set()),
        ("read,write,api,policy", set()),
        ("full", set()),
        ("write", set()),  # the built-in group
        ("read,api", {"write"}),
        ("read", {"write"}),  # the built-in group
    ],
)
def test_an_account_lacks_what_its_group_does_not_grant(make: Make, release: str, policies: str, missing: set[str]) -> None:
    assert lacking(asked(make(policies, version=release))) == missing


def test_the_sentence_names_account_group_policy_and_what_is_lost(make: Make) -> None:
    (sentence,) = asked(make("read,api")).rights
    assert sentence == "account fleet (group fleet-group) lacks policy write: nothing can be changed on it"


def test_an_account_without_policy_test_may_do_everything_but_ping(make: Make) -> None:
    observed = asked(make(MINIMAL))
    assert observed.rights == ()
    assert [note for note in observed.notes if "ping" in note]
    assert not [note for note in asked(make("read,write,api,test")).notes if "ping" in note]


def test_a_right_revoked_since_the_login_is_missing(make: Make) -> None:
    router = make(MINIMAL)
    group = next(row for row in router.simulator.rows("/user/group") if row["name"] == "fleet-group")
    router.simulator.change("/user/group", group[".id"], policy="!api,!write")
    target = Target("subject", "acme", ("wg0",), username="fleet", asks=frozenset({"rights"}))
    link = router.link(target)
    router.simulator.change("/user/group", group[".id"], policy="api,write")
    link.session  # noqa: B018 - logs in with all rights
    router.simulator.change("/user/group", group[".id"], policy="!api,!write")
    assert lacking(DRIVER.observe(link)) == {"api", "write"}


def test_an_account_that_may_not_read_is_told_so_with_the_command(make: Make) -> None:
    with pytest.raises(Rejected, match="account fleet lacks policy read") as caught:
        asked(make("write,api"))
    assert '/user/group/set [find name=[/user/get [find name="fleet"] group]] policy=read,write,api' in caught.value.hint


def test_where_accounts_are_hidden_nothing_is_claimed(make: Make) -> None:
    router = make("read,api")
    router.simulator.users_hidden = True
    observed = asked(router)
    assert observed.rights == ()
    assert any("policies of account fleet cannot be read" in note for note in observed.notes)


def test_of_an_account_that_the_router_does_not_list_nothing_is_claimed(make: Make) -> None:
    observed = asked(make(MINIMAL), username="radius-user")
    assert observed.rights == ()
    assert any("radius-user" in note for note in observed.notes)


def test_rights_are_read_only_when_asked_for() -> None:
    link = RowLink(hub(), Target("hq", "acme", ("wg0",), username="fleet"))
    observed = DRIVER.observe(link)
    assert len(link.bursts) == 1
    assert (observed.rights, [note for note in observed.notes if "polic" in note]) == ((), [])


def test_asking_for_rights_costs_one_round_trip_more(make: Make) -> None:
    router = make(MINIMAL)
    link = router.link(Target("subject", "acme", ("wg0",), username="fleet", asks=frozenset({"rights"})))
    link.session  # noqa: B018 - logs in
    router.simulator.counters.reset()
    DRIVER.observe(link)
    assert router.simulator.counters.round_trips == 2


@pytest.mark.parametrize("policies", ["api", "read,api", MINIMAL, "api,ftp,policy"])
def test_the_account_commands_give_every_right(make: Make, policies: str) -> None:
    router = make(policies)
    _paste(router.simulator, DRIVER.account("fleet") or "")
    observed = asked(router)
    assert (observed.rights, [note for note in observed.notes if "ping" in note]) == ((), [])


def test_the_account_commands_make_the_account_where_there_is_none(make: Make) -> None:
    router = make(MINIMAL)
    user = next(row for row in router.simulator.rows("/user") if row["name"] == "fleet")
    router.simulator.delete("/user", user[".id"])
    _paste(router.simulator, DRIVER.account("fleet") or "")
    assert asked(router).rights == ()


def _paste(simulator: RouterosSimulator, commands: str) -> None:
    """As an administrator at the terminal, who types the password where the last line ends."""
    job = simulator.jobs.start(
        "terminal", f'{commands}"{PASSWORD}"', "admin", frozenset({"read", "write", "policy", "test", "api"})
    )
    assert job.outcome == "ok", job.outcome
