from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.model import Fact
from fleet.state import State, default_place, open_state

from .shared import ONE, OTHER, A, B


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file only: what is tested here is about files."""
    return default_place(tmp_path)


def test_looking_at_a_fleet_leaves_no_files_behind(tmp_path: Path, state: State) -> None:
    assert state.facts("acme") == {}
    assert state.history("acme") == []
    assert state.confirmed("acme", "mumbai") is None
    assert list(tmp_path.iterdir()) == []


def test_the_state_is_readable_by_its_owner_only(tmp_path: Path, state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    folder = tmp_path / ".fleet"
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.name.startswith("state.db")}
    assert {"state.db", "state.db-wal", "state.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_state_that_others_could_read_is_closed_to_them(tmp_path: Path, place: Path) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    place.chmod(0o644)
    with open_state(place) as state:
        assert state.facts("acme")
    assert place.stat().st_mode & 0o777 == 0o600


def test_what_one_run_pins_the_next_one_knows(place: Path) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A, addresses=(ONE, OTHER), epoch=3, staged_key=B)
    with open_state(place) as state:
        assert state.facts("acme") == {"mumbai": Fact(A, (ONE, OTHER), 3, B)}


def test_a_closed_state_is_one_file_that_can_be_copied(place: Path) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    assert sorted(path.name for path in place.parent.iterdir()) == [".gitignore", "state.db"]


@pytest.mark.parametrize("spell", ["{}", "sqlite:///{}"])
def test_the_state_may_be_given_as_path_or_url(tmp_path: Path, spell: str) -> None:
    with open_state(spell.format(tmp_path / "elsewhere.db")) as state:
        state.pin("acme", "mumbai", public_key=A)
    assert (tmp_path / "elsewhere.db").exists()


def test_a_damaged_state_says_how_it_is_rebuilt(place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(b"no database at all" * 1000)
    with pytest.raises(UsageError) as caught, open_state(place) as state:
        state.facts("acme")
    assert "rebuilt from the routers" in caught.value.hint


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with open_state(tmp_path / "file" / "state.db") as state, pytest.raises(UsageError, match=r"file/state\.db") as caught:
        state.pin("acme", "mumbai", public_key=A)
    assert "--state" in caught.value.hint


def test_a_state_that_may_only_be_read_is_read_and_refuses_a_write(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everything
    with open_state(place) as state:
        assert state.facts("acme") == {"mumbai": Fact(A)}
        with pytest.raises(UsageError, match="readonly") as caught:
            state.pin("acme", "mumbai", public_key=B)
    assert "rights" in caught.value.hint


def test_a_file_that_was_only_made_reads_as_an_empty_state(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with open_state(tmp_path / "empty.db") as state:
        assert state.facts("acme") == {}
