from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text

from fleet.errors import UsageError
from fleet.model import Fact, PublicKey
from fleet.state import State, open_state
from fleet.state.layout import HEAD, LAYOUTS, MIGRATIONS
from fleet.state.schema import Base

from .shared import ONE, A, process, queries, writes

HERE = Path(__file__).parent
OLD_KEY = PublicKey("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")


def run_sql(place: Path | str, *scripts: str) -> None:
    """Not by fleet's own hand."""
    if isinstance(place, Path):
        place.parent.mkdir(exist_ok=True)
        database = sqlite3.connect(place)
        for script in scripts:
            database.executescript(script)
        database.close()
        return
    url = make_url(place)
    with psycopg.connect(host=str(url.query["host"]), user=url.username, dbname=url.database) as connection:
        for script in scripts:
            connection.execute(script.encode())


@pytest.fixture
def version1(place: Path | str) -> Path | str:
    """A state as fleet 0.1.0 left it."""
    kind = "sqlite" if isinstance(place, Path) else "postgresql"
    run_sql(place, (HERE / f"version1-{kind}.sql").read_text(), (HERE / "version1-rows.sql").read_text())
    return place


def revision(state: State) -> str | None:
    with state.reading() as session:
        return str(session.scalar(text("select version_num from alembic_version")))


def kept(state: State) -> object:
    (run,) = state.history("acme")
    return (
        state.facts("acme"),
        state.identities("acme"),
        state.tombstones("acme"),
        {name: dict(confirmed.objects) for name, confirmed in state.confirmed_all("acme").items()},
        (run.outcome, run.routers, [entry.to_dict() for entry in state.journal(run.id)]),
    )


def test_the_steps_in_the_package_are_those_that_the_program_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    steps = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(step.revision for step in steps) == LAYOUTS[::-1]


def test_the_steps_lead_to_the_very_tables_that_the_program_uses(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    with state.reading() as session:
        connection = session.connection()
        # SQLite keeps the declared lengths of the first tables, and ignores them.
        options = {"compare_type": connection.dialect.name == "postgresql"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []


def test_a_taken_over_state_has_the_tables_that_a_new_one_has(version1: Path | str) -> None:
    with open_state(version1) as state:
        state.pin("acme", "pune", public_key=A)
        with state.reading() as session:
            connection = session.connection()
            options = {"compare_type": connection.dialect.name == "postgresql"}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []


def test_a_state_of_version_1_is_taken_over_with_all_it_holds(version1: Path | str) -> None:
    with open_state(version1) as state:
        before = kept(state)
        state.tombstone("other", A)
        assert revision(state) == HEAD
        assert kept(state) == before
        assert state.facts("acme") == {"mumbai": Fact(OLD_KEY, (ONE,), 3)}
        assert state.history("acme")[0].routers == ("mumbai",)


def test_a_taken_over_journal_goes_on_where_it_ended(version1: Path | str) -> None:
    with open_state(version1) as state:
        run = state.begin_run("acme", "sync", "asha@noc")
        run.record("mumbai", "apply", "next")
        assert [entry.text for entry in state.journal(run.id)] == ["next"]


def test_looking_at_a_state_of_version_1_changes_nothing_in_it(version1: Path | str) -> None:
    with queries() as sent, open_state(version1) as state:
        assert state.facts("acme") == {"mumbai": Fact(OLD_KEY, (ONE,), 3)}
        assert state.history("acme")[0].routers == ("mumbai",)
    assert writes(sent) == []


def test_an_older_fleet_refuses_a_migrated_state_by_the_number_that_it_knows(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    with state.reading() as session:
        assert session.scalar(text("select version from schema_version")) == 2


@pytest.mark.parametrize("made_newer", ["update alembic_version set version_num = '0999'", "drop table alembic_version"])
@pytest.mark.parametrize("write", [False, True])
def test_a_state_of_a_newer_fleet_is_refused_and_left_alone(place: Path | str, made_newer: str, *, write: bool) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    run_sql(place, made_newer)
    with queries() as sent, open_state(place) as state, pytest.raises(UsageError, match="newer fleet") as caught:
        state.pin_key("acme", "mumbai", A) if write else state.facts("acme")
    assert "upgrade fleet" in caught.value.hint
    assert "hunter2" not in str(caught.value)
    assert writes(sent) == []


def test_that_a_state_is_up_to_date_is_told_by_one_query(place: Path | str) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    with open_state(place) as state, queries() as sent:
        state.facts("acme")
        state.facts("acme")
    assert len([statement for statement in sent if "alembic" in statement]) == 1
    assert len([statement for statement in sent if statement.upper().startswith("SELECT")]) == 3


def test_alembic_is_not_even_imported_when_nothing_is_to_be_migrated(tmp_path: Path) -> None:
    with open_state(tmp_path / "state.db") as state:
        state.pin("acme", "mumbai", epoch=1)
    program = (
        "import sys; from fleet.state import *; state = open_state(sys.argv[1]); state.facts('acme');"
        "state.pin('acme', 'mumbai', epoch=2); state.close(); print('alembic' in sys.modules, 'psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "state.db"], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_a_step_that_fails_leaves_the_state_as_it_was(version1: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_state(version1) as state:
        before = kept(state)
    run_sql(version1, "create table taken (a integer)", "create index journal_by_router on taken (a)")
    with open_state(version1) as state, pytest.raises(UsageError):
        state.pin("acme", "pune", public_key=A)
    run_sql(version1, "drop table taken")
    with open_state(version1) as state:
        assert kept(state) == before
        state.pin("acme", "pune", public_key=A)
        assert revision(state) == HEAD


@pytest.mark.parametrize("begin_with", ["nothing", "version 1"])
def test_processes_that_use_a_state_for_the_first_time_together_do_not_disturb_each_other(
    request: pytest.FixtureRequest, place: Path | str, begin_with: str
) -> None:
    if begin_with == "version 1":
        request.getfixturevalue("version1")
    program = "say('ready'); name = told(); state.pin('acme', name, epoch=1); say('done'); told()"
    names = [f"r{number}" for number in range(4)]
    with process(place, program) as a, process(place, program) as b, process(place, program) as c, process(place, program) as d:
        together = (a, b, c, d)
        assert [one.said() for one in together] == ["ready"] * 4
        for one, name in zip(together, names, strict=True):
            one.tell(name)
        assert [one.said() for one in together] == ["done"] * 4
    with open_state(place) as state:
        assert set(names) <= set(state.facts("acme"))
        assert revision(state) == HEAD


def test_the_steps_are_shipped_in_the_package() -> None:
    assert {path.stem for path in (MIGRATIONS / "versions").glob("v*.py")} >= {f"v{LAYOUTS[0]}_first_tables"}
    assert (MIGRATIONS / "env.py").exists()
