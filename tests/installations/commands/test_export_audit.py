"""`export_audit`: to a new file or to standard output, noted in the trail."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests import factories
from tests.tampering import as_owner
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db


def test_new_file_gets_the_trail_and_is_for_its_owner_alone(application: Any, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    assert run("export_audit", "--output", str(path)) == "2 events exported, 1 to 2\n"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("verb") for line in lines] == [None, "application.registered", "audit.exported"]
    assert path.stat().st_mode & 0o077 == 0
    assert (last_event().via, last_event().reason) == ("command", "Exported by command.")


def test_standard_output_has_the_export_and_nothing_else(application: Any) -> None:
    out, note = StringIO(), StringIO()
    call_command("export_audit", "--format", "csv", stdout=out, stderr=note)
    table = list(csv.reader(StringIO(out.getvalue(), newline="")))
    assert [len(row) for row in table] == [15, 15, 15]
    assert note.getvalue() == "2 events exported, 1 to 2\n"


def test_missing_events_are_not_counted_and_said(application: Any, auditor: Any) -> None:
    factories.installation(application, approved=["fin.read"])
    out, note = StringIO(), StringIO()
    with as_owner() as cursor:
        cursor.execute("DELETE FROM installations_auditevent WHERE sequence = 2")
        call_command("export_audit", stdout=out, stderr=note)

    assert len(out.getvalue().splitlines()) == 1 + 2
    assert note.getvalue() == (
        "2 events exported, 1 to 3\n1 number has no event: somebody took them out. Run manage.py verify_audit\n"
    )


def test_operator_that_is_named_needs_the_permission(application: Any, run: Any, auditor: Any, reviewer: Any) -> None:
    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        run("export_audit", "--operator", "reviewer", "--reason", "A look.")
    run("export_audit", "--operator", "auditor", "--reason", "A look.")
    assert (last_event().actor_name, last_event().reason) == ("auditor", "A look.")
    with pytest.raises(CommandError, match="no active operator named ''"):
        run("export_audit", "--operator", "")


def test_file_that_exists_or_cannot_be_written_is_refused(application: Any, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text("Mine.")
    with nothing_changes(), pytest.raises(CommandError, match="exists already"):
        run("export_audit", "--output", str(path))
    assert path.read_text() == "Mine."
    with nothing_changes(), pytest.raises(CommandError, match="cannot be written"):
        run("export_audit", "--output", str(tmp_path / "no" / "place"))
