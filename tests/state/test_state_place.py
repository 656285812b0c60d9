from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.state import open_state
from fleet.state.place import cure, place

from .postgres import Server
from .shared import A, process, until


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://user:hunter2@db/fleet", "unknown kind of database"),
        ("mysql://user:hunter2@db/fleet", "unknown kind of database"),
        ("postgresql+asyncpg://user:hunter2@db/fleet", "unknown kind of database"),
        ("postgresql://user:hunter2@db:hunter2/fleet", "not a database URL"),
        ("postgresql://user:x@hunter2@db/fleet", "more than one @"),
        ("postgresql://us/er:hunter2@db/fleet", "more than one @"),
        ("sqlite://", "names no file"),
        ("://hunter2", "not a database URL"),
    ],
)
def test_an_unusable_url_is_refused_at_once_and_without_its_password(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_state(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@127.0.0.1:1/fleet",
        "postgresql://user@127.0.0.1:1/fleet?password=hunter2",
        "postgresql://user@127.0.0.1:1/fleet?sslpassword=hunter2&sslmode=prefer",
        "postgres://user:hunter2@127.0.0.1:1/fleet",
    ],
)
def test_a_server_that_does_not_answer_is_named_without_the_password(url: str) -> None:
    with open_state(url) as state, pytest.raises(UsageError, match=r"127\.0\.0\.1") as caught:
        state.facts("acme")
    assert "can be reached" in caught.value.hint
    # What -vv prints: the whole chain of causes.
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_of_several_servers_that_do_not_answer_one_is_told() -> None:
    with open_state("postgresql://user@/fleet?host=127.0.0.1:1&host=127.0.0.1:2") as state, pytest.raises(UsageError) as caught:
        state.facts("acme")
    assert "Connection refused" in caught.value.summary


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with open_state("postgresql://user:hunter2@db/fleet") as state, pytest.raises(UsageError, match="psycopg") as caught:
        state.facts("acme")
    assert "pip install 'fleet-wg[postgres]'" in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_a_user_without_a_password_is_told_where_one_is_read_from() -> None:
    assert "PGPASSFILE" in cure("connection failed: fe_sendauth: no password supplied")
    assert "PGPASSWORD" in cure('FATAL:  password authentication failed for user "fleet"')


def test_what_a_url_may_say_reaches_the_server() -> None:
    url = place("postgresql://user@db/fleet?sslmode=verify-full&connect_timeout=3").url
    assert url is not None
    assert url.drivername == "postgresql+psycopg"
    assert url.query == {"sslmode": "verify-full", "connect_timeout": "3"}


# ------------------------------------------------------------------------------------------------- a real server
@pytest.mark.xdist_group("postgresql")
class TestServer:
    def test_a_database_that_does_not_exist_is_made_on_the_server(self, server: Server) -> None:
        with open_state(server.url("nowhere")) as state, pytest.raises(UsageError, match='"nowhere" does not exist') as caught:
            state.facts("acme")
        assert "createdb" in caught.value.hint

    def test_looking_at_an_empty_database_makes_no_tables(self, server: Server) -> None:
        url = server.database()
        with open_state(url) as state:
            assert state.facts("acme") == {}
            assert state.history("acme") == []
            assert state.writer("acme") is None
        name = re.split(r"[/?]", url)[3]
        assert server.execute("select 1 from pg_tables where schemaname = 'public'", name) == []

    def test_a_user_who_may_not_make_tables_is_told_what_is_missing(self, server: Server) -> None:
        url = server.database(owner="admin").replace("//admin@", "//fleet@")
        with open_state(url) as state, pytest.raises(UsageError, match="permission denied") as caught:
            state.pin("acme", "mumbai", public_key=A)
        assert "create tables" in caught.value.hint

    def test_the_password_may_come_from_a_file_of_passwords(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = server.database()
        server.execute("create role guarded login password 'hunter2'")
        rules = server.folder / "data" / "pg_hba.conf"
        before = rules.read_text()
        rules.write_text("local all guarded scram-sha-256\n" + before)
        server.execute("select pg_reload_conf()")
        url = url.replace("//fleet@", "//guarded@")
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "absent"))

        def refused() -> UsageError | None:
            with open_state(url) as state:
                try:
                    state.facts("acme")
                except UsageError as error:
                    return error
            return None

        until(lambda: refused() is not None)  # the server reads its rules again when it has time
        error = refused()
        assert error is not None
        assert "PGPASSFILE" in error.hint
        (tmp_path / "passwords").write_text("*:*:*:guarded:hunter2\n")
        (tmp_path / "passwords").chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
        assert refused() is None
        rules.write_text(before)
        server.execute("select pg_reload_conf()")

    def test_a_server_that_lost_its_connections_is_connected_to_again(self, server: Server) -> None:
        with open_state(server.database()) as state:
            state.pin("acme", "mumbai", epoch=1)
            server.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'fleet'")
            state.pin("acme", "mumbai", epoch=2)
            assert state.facts("acme")["mumbai"].epoch == 2

    def test_a_process_that_was_stopped_in_the_middle_of_a_write_holds_nobody_up(self, server: Server) -> None:
        url = server.database()
        program = (
            "import fleet.state.place as place; place.STOPPED_SECONDS = 0.3\n"
            "with state.writing() as session:\n"
            "    from fleet.state.schema import Tombstone\n"
            "    session.add(Tombstone(overlay='acme', public_key='half', at=0.0)); session.flush()\n"
            "    say('in'); told()\n"
        )
        with open_state(url) as state:
            state.pin("acme", "mumbai", epoch=1)
            with process(url, program) as stopped:
                assert stopped.said() == "in"
                state.pin("acme", "mumbai", epoch=2)
                assert state.tombstones("acme") == frozenset()

    def test_a_state_that_only_takes_reads_says_so(self, server: Server) -> None:
        url = server.database()
        with open_state(url) as state:
            state.pin("acme", "mumbai", epoch=1)
        standby = url + "&options=-cdefault_transaction_read_only%3Don"
        with open_state(standby) as state:
            assert state.facts("acme")["mumbai"].epoch == 1
            with pytest.raises(UsageError, match="read-only transaction") as caught:
                state.pin("acme", "mumbai", epoch=2)
        assert "primary" in caught.value.hint
