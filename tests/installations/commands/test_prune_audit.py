"""`prune_audit`: archive, verify, remove; what it says and refuses."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError

from tests import factories
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
BY = ("--operator", "superuser", "--reason", "Two years are over.")


@pytest.fixture
def archive(superuser: Any, tmp_path: Path) -> str:
    with time_machine.travel(datetime(2024, 1, 1, tzinfo=UTC), tick=False):
        factories.application()
    return str(tmp_path / "archive.jsonl")


def test_old_events_go_and_a_second_run_removes_nothing(archive: str, run: Any) -> None:
    line = ("prune_audit", "--before", "2024-06-01", "--archive")
    assert run(*line, archive, *BY) == "1 event archived and removed, up to 1\n"
    assert run("verify_audit").startswith("intact: 1 event up to 2")
    assert run("verify_audit", "--file", archive).startswith("intact: 1 event in the file, 1 to 1")
    with nothing_changes():
        assert run(*line, f"{archive}.2", *BY) == "nothing removed: no event of the trail is older than that\n"


@pytest.mark.parametrize("date", ["yesterday", "2024-13-01", "01.06.2024", ""])
def test_date_that_is_none_is_refused(archive: str, run: Any, date: str) -> None:
    with nothing_changes(), pytest.raises(CommandError, match="is no date like 2026-01-31"):
        run("prune_audit", "--before", date, "--archive", archive, *BY)


def test_young_events_and_others_operators_are_refused(archive: str, run: Any, responder: Any) -> None:
    with nothing_changes(), pytest.raises(CommandError, match="kept for 365 days"):
        run("prune_audit", "--before", "2999-01-01", "--archive", archive, *BY)
    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        run("prune_audit", "--before", "2024-06-01", "--archive", archive, "--operator", "responder", "--reason", "x")
    assert not Path(archive).exists()
