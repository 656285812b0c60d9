"""Simulated RouterOS: wire protocol, login, tags, queries, traps. Sheet section 1."""

from __future__ import annotations

import random

import pytest
from routeros_client import Client

from fleet.testing.routeros import RouterosSimulator
from fleet.testing.routeros.queries import matcher
from fleet.testing.routeros.words import Decoder, WireError, length, sentence

OLD, NEW = "7.17.2", "7.18"


@pytest.fixture
def router():
    with RouterosSimulator("r1") as started:
        yield started


@pytest.fixture
def client(router):
    with Client(router) as connected:
        yield connected


@pytest.mark.parametrize(
    ("size", "prefix"),
    [
        (0, "00"),
        (0x7F, "7f"),
        (0x80, "8080"),
        (256, "8100"),
        (0x4000, "c04000"),
        (0x200000, "e0200000"),
        (0x10000000, "f010000000"),
    ],
)
def test_lengths_take_one_to_five_bytes(size: int, prefix: str) -> None:
    """1.1, with the two examples that were run."""
    assert length(size).hex() == prefix


def test_a_zero_byte_inside_a_length_ends_no_sentence() -> None:
    """1.1: a word of 256 bytes has the length 81 00."""
    words = ["/x", "=comment=" + "a" * 247]
    assert len(words[1]) == 256
    assert Decoder().feed(sentence(words)) == [words]


@pytest.mark.parametrize("size", [127, 128, 16383, 16384, 70000])
def test_words_survive_arriving_byte_by_byte(size: int) -> None:
    """1.1, 10.12."""
    decoder, words = Decoder(), ["/x", "=" + "y" * size]
    found = [one for byte in sentence(words) for one in decoder.feed(bytes((byte,)))]
    assert found == [words]


def test_control_bytes_are_refused() -> None:
    """1.1: a first byte of F8 and above is reserved."""
    with pytest.raises(WireError):
        Decoder().feed(b"\xf8")


def test_empty_sentences_are_ignored() -> None:
    """1.1."""
    assert Decoder().feed(b"\0\0" + sentence(["/x"]) + b"\0") == [["/x"]]


def test_a_comment_in_latin_1_survives() -> None:
    """1.1: devices do hold latin-1 comments."""
    raw = b"\x02/x\x0a=comment=\xe9\x00"
    decoded = Decoder().feed(raw)
    assert sentence(decoded[0]) == raw


def test_a_control_byte_on_the_socket_ends_the_connection(client: Client) -> None:
    """1.1."""
    client.socket.sendall(b"\xff")
    with pytest.raises(ConnectionError):
        client.receive()


def test_a_wrong_password_is_a_trap_and_the_connection_stays(router: RouterosSimulator) -> None:
    """1.3, 8.2."""
    with Client(router, login=False) as client:
        assert client.talk("/login", "=name=admin", "=password=wrong") == [
            ["!trap", "=message=invalid user name or password (6)"],
            ["!done"],
        ]
        assert client.talk("/login", "=name=admin", "=password=") == [["!done"]]


def test_a_command_before_login_is_fatal(router: RouterosSimulator) -> None:
    """1.3: the reason is a bare word, then the router closes."""
    with Client(router, login=False) as client:
        client.send("/ip/address/print")
        assert client.receive() == ["!fatal", "not logged in"]
        with pytest.raises(ConnectionError):
            client.receive()


def test_commands_pipelined_behind_login_are_fatal(router: RouterosSimulator) -> None:
    """7: do not pipeline commands behind /login."""
    with Client(router, login=False) as client:
        client.burst(("/login", "=name=admin", "=password="), ("/system/identity/print",))
        assert client.receive() == ["!fatal", "not logged in"]


def test_a_group_without_policy_api_cannot_log_in() -> None:
    """1.3."""
    with RouterosSimulator("r", users={"ops": ("pw", "read,write")}) as router, Client(router, login=False) as client:
        assert client.talk("/login", "=name=ops", "=password=pw")[0][0] == "!trap"


def test_an_address_restriction_refuses_other_sources(router: RouterosSimulator) -> None:
    """1.3: /user address= restricts the source."""
    router.change("/user", "admin", address="10.9.9.9/32")
    with Client(router, login=False) as client:
        assert client.talk("/login", "=name=admin", "=password=")[0][0] == "!trap"
        router.seen_as = "10.9.9.9"
        assert client.talk("/login", "=name=admin", "=password=") == [["!done"]]


def test_quit_is_fatal_and_closes(client: Client) -> None:
    """1.3."""
    client.send("/quit")
    assert client.receive() == ["!fatal", "session terminated on request"]


@pytest.mark.parametrize(("version", "replies"), [(OLD, [["!done"]]), (NEW, [["!empty"], ["!done"]])])
def test_an_empty_result_says_empty_from_7_18(version: str, replies: list[list[str]]) -> None:
    """1.2, 8.1."""
    with RouterosSimulator("r", version) as router, Client(router) as client:
        assert client.talk("/ip/route/print", "=.proplist=.id", "?comment=test") == replies


def test_empty_carries_the_tag() -> None:
    """1.2."""
    with RouterosSimulator("r", NEW) as router, Client(router) as client:
        assert client.talk("/ipv6/route/print", ".tag=5") == [["!empty", ".tag=5"], ["!done", ".tag=5"]]


def test_add_answers_with_the_new_id(client: Client) -> None:
    """1.2, 8.4."""
    replies = client.talk("/ip/address/add", "=address=10.0.0.1/24", "=interface=bridge")
    assert replies == [["!done", "=ret=*3"]]


def test_count_only_answers_in_done(client: Client) -> None:
    """1.2."""
    assert client.talk("/interface/print", "=count-only=") == [["!done", "=ret=6"]]


def test_a_row_without_the_property_asked_for_is_bare(client: Client) -> None:
    """1.2: .proplist=comment on rows without comment gives bare !re."""
    assert ["!re"] in client.talk("/interface/print", "=.proplist=comment")


def test_the_id_comes_only_when_listed(client: Client) -> None:
    """1.5."""
    assert client.talk("/interface/print", "=.proplist=name", "?name=ether1") == [["!re", "=name=ether1"], ["!done"]]


@pytest.mark.parametrize("written", ["no", "false"])
@pytest.mark.parametrize("form", ["?disabled={}", "?=disabled={}"])
def test_booleans_in_queries_are_taken_in_every_spelling(client: Client, written: str, form: str) -> None:
    """1.5: the simulator must accept all four."""
    assert len(client.rows("/interface/print", form.format(written))) == 6


@pytest.mark.parametrize(
    ("queries", "passes"),
    [
        (["?a"], True),
        (["?-a"], False),
        (["?b"], False),
        (["?a=1"], True),
        (["?=a=1"], True),
        (["?=a=2"], False),
        (["?>a=0"], True),
        (["?<a=10"], True),
        (["?=a=2", "?=a=1", "?#|"], True),
        (["?=a=1", "?#!"], False),
        (["?=a=2", "?#!"], True),
        (["?=a=1", "?=a=2", "?#&"], False),
        (["?=a=1", "?=a=2"], False),
        (["?=a=2", "?=a=1", "?#0"], True),
        (["?#!"], False),
    ],
)
def test_queries_are_a_stack_machine_on_endless_true(queries: list[str], passes: bool) -> None:
    """1.5."""
    assert matcher(queries)({"a": "1"}) is passes


def test_where_is_not_available(client: Client) -> None:
    """1.5."""
    assert client.trap("/interface/print", "=where=name") == "unknown parameter where"


@pytest.mark.parametrize(("version", "known"), [("7.20", False), ("7.21", True)])
def test_show_sensitive_exists_from_7_21(version: str, known: bool) -> None:
    """1.5."""
    with RouterosSimulator("r", version) as router, Client(router) as client:
        replies = client.talk("/interface/wireguard/print", "=show-sensitive=")
        assert (replies[0][0] != "!trap") is known


def test_every_reply_of_a_tagged_command_is_tagged(client: Client) -> None:
    """1.4."""
    replies = client.talk("/interface/print", ".tag=a7")
    assert all(".tag=a7" in reply for reply in replies)


def test_a_trap_is_followed_by_done_both_with_the_tag(client: Client) -> None:
    """1.2, 10.2."""
    replies = client.talk("/ip/address/add", "=address=192.168.88.1", "=interface=asdf", ".tag=9")
    assert replies == [
        ["!trap", "=category=1", "=message=input does not match any value of interface", ".tag=9"],
        ["!done", ".tag=9"],
    ]


def test_replies_of_concurrent_tags_interleave(client: Client) -> None:
    """1.4, 10.9."""
    client.burst(("/interface/print", ".tag=1"), ("/ip/service/print", ".tag=2"))
    order = [reply[-1] for reply in client.until_done(2)]
    assert order != sorted(order)


def test_with_a_seed_tagged_commands_run_in_another_order() -> None:
    """1.4: no promise that tagged writes execute in send order."""
    orders = set()
    for seed in range(6):
        with RouterosSimulator("r", seed=seed) as router, Client(router) as client:
            client.burst(*(("/ip/firewall/address-list/add", "=list=x", f"=address=10.0.0.{n}", f".tag={n}") for n in range(8)))
            client.until_done(8)
            orders.add(tuple(row["address"] for row in router.rows("/ip/firewall/address-list")))
    assert len(orders) > 1


def test_untagged_concurrent_commands_mix_their_rows(client: Client) -> None:
    """1.4, measured by others: rows arrive in the wrong caller's answer."""
    client.burst(("/interface/print",), ("/ip/service/print",))
    first = client.until_done(1)
    client.until_done(1)
    assert len({any(word.startswith("=port=") for word in reply) for reply in first[:-1]}) == 2


def test_cancel_interrupts_and_both_are_done(client: Client) -> None:
    """1.4, 8.4."""
    client.send("/interface/listen", ".tag=10")
    client.send("/cancel", "=tag=10", ".tag=20")
    assert client.until_done(2) == [
        ["!trap", "=category=2", "=message=interrupted", ".tag=10"],
        ["!done", ".tag=20"],
        ["!done", ".tag=10"],
    ]


def test_cancel_without_tag_ends_everything_running(client: Client) -> None:
    """1.4."""
    client.burst(("/interface/listen", ".tag=1"), ("/ip/address/listen", ".tag=2"), ("/cancel", ".tag=3"))
    assert sorted(reply[-1] for reply in client.until_done(3) if reply[0] == "!done") == [".tag=1", ".tag=2", ".tag=3"]


def test_listen_reports_changes_and_removals(router: RouterosSimulator, client: Client) -> None:
    """1.2: .dead=true marks a removed row."""
    client.send("/ip/address/listen", ".tag=10")
    with Client(router) as other:
        number = other.add("/ip/address", address="10.1.1.1/32", interface="bridge")
        assert f"=.id={number}" in client.receive()
        other.talk("/ip/address/remove", f"=.id={number}")
    assert client.receive() == ["!re", f"=.id={number}", "=.dead=true", ".tag=10"]


def test_an_unknown_id_is_no_such_item(client: Client) -> None:
    """1.6."""
    assert client.trap("/ip/address/set", "=.id=*FF", "=comment=x") == "no such item"
    assert client.trap("/ip/address/remove", "=.id=*FF") == "no such item"


def test_with_a_seed_categories_and_suffixes_vary() -> None:
    """1.6, 10.2: the category is optional, a number may follow."""
    with RouterosSimulator("r", seed=3) as router, Client(router) as client:
        seen = {tuple(client.talk("/ip/address/remove", "=.id=*FF")[0]) for _ in range(40)}
    assert {any(word.startswith("=category") for word in trap) for trap in seen} == {True, False}
    assert {trap[-1] for trap in seen} == {"=message=no such item", "=message=no such item (4)"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/nothing/print", "no such command prefix"),
        ("/ip/address/fly", "no such command"),
        ("/system/identity/add", "no such command"),
    ],
)
def test_unknown_paths_and_verbs_are_told_apart(client: Client, command: str, message: str) -> None:
    """1.6."""
    assert client.trap(command) == message


def test_an_unknown_argument_is_named(client: Client) -> None:
    """1.6."""
    assert (
        client.trap("/ip/address/add", "=address=10.0.0.1/24", "=interface=bridge", "=colour=red") == "unknown parameter colour"
    )


def test_a_read_only_property_is_no_argument(client: Client) -> None:
    """1.6."""
    assert client.trap("/ip/address/set", "=.id=*1", "=invalid=yes") == "unknown parameter invalid"


def test_trailing_letters_in_a_number_are_named(client: Client) -> None:
    """1.6."""
    trap = client.trap("/interface/wireguard/add", "=name=wg0", "=mtu=14x")
    assert trap == "value of mtu contains invalid trailing characters"


def test_sets_and_removes_take_comma_lists(router: RouterosSimulator, client: Client) -> None:
    """4."""
    ids = [client.add("/ip/firewall/address-list", list="x", address=f"10.0.0.{n}") for n in (1, 2)]
    client.talk("/ip/firewall/address-list/remove", f"=.id={','.join(ids)}")
    assert router.rows("/ip/firewall/address-list") == []


def test_a_list_with_one_bad_id_changes_nothing(router: RouterosSimulator, client: Client) -> None:
    """1.6."""
    number = client.add("/ip/firewall/address-list", list="x", address="10.0.0.1")
    client.trap("/ip/firewall/address-list/remove", f"=.id={number},*FF")
    assert len(router.rows("/ip/firewall/address-list")) == 1


def test_a_name_is_taken_where_an_id_is_expected(router: RouterosSimulator, client: Client) -> None:
    """4: =.id=ether1."""
    client.talk("/interface/set", "=.id=ether1", "=comment=uplink")
    assert client.rows("/interface/print", "?name=ether1")[0]["comment"] == "uplink"


def test_missing_rights_are_a_trap() -> None:
    """1.6."""
    with (
        RouterosSimulator("r", users={"ops": ("pw", "read,api")}) as router,
        Client(router, user="ops", password="pw") as client,
    ):
        assert client.trap("/ip/address/add", "=address=10.0.0.1/24", "=interface=bridge") == "not enough permissions (9)"
        assert client.trap("/ping", "=address=10.0.0.1", "=count=1") == "not enough permissions (9)"
        assert client.rows("/system/identity/print") == [{"name": "r"}]


def test_writing_users_needs_policy() -> None:
    """6: write includes everything except user management."""
    with (
        RouterosSimulator("r", users={"ops": ("pw", "read,write,api")}) as router,
        Client(router, user="ops", password="pw") as client,
    ):
        assert client.trap("/user/add", "=name=x", "=group=full") == "not enough permissions (9)"


def test_a_new_right_counts_from_the_next_login() -> None:
    """6, 10.6."""
    with (
        RouterosSimulator("r", users={"ops": ("pw", "read,api")}) as router,
        Client(router, user="ops", password="pw") as client,
    ):
        router.change("/user/group", "ops-group", policy="write")
        assert client.trap("/ip/address/set", "=.id=*1", "=comment=x") == "not enough permissions (9)"
        with Client(router, user="ops", password="pw") as later:
            assert later.talk("/ip/address/set", "=.id=*1", "=comment=x") == [["!done"]]


def test_set_policy_is_cumulative_and_add_is_not(router: RouterosSimulator, client: Client) -> None:
    """6: revoke with !x."""
    client.add("/user/group", name="g", policy="read,api")
    client.talk("/user/group/set", "=.id=g", "=policy=write")
    client.talk("/user/group/set", "=.id=g", "=policy=!read")
    policy = client.rows("/user/group/print", "?name=g")[0]["policy"]
    assert [one for one in policy.split(",") if not one.startswith("!")] == ["write", "api"]


def test_bytes_split_at_random_still_make_sentences(router: RouterosSimulator) -> None:
    """10.12."""
    router.pieces = random.Random(1)
    with Client(router) as client:
        assert len(client.rows("/ip/service/print")) == 8
