"""`verify_audit`: one line when intact; every finding and exit code 1 when broken; never a traceback."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from installations import audit
from installations.audit_models import AuditHead
from installations.trail import reading
from tests import factories
from tests.tampering import TABLE, as_owner, exported
from tests.unchanged import last_event, recorded

pytestmark = pytest.mark.django_db
VERIFY = "verify_audit"


@pytest.fixture
def trail() -> None:
    with transaction.atomic():
        events = (audit.Event("test.done", "thing", str(number), reason="Because.") for number in range(20))
        audit.append(factories.superactor(), *events)


def broken(*arguments: str) -> tuple[str, str]:
    """Return what was printed and the refusal."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("verify_audit", *arguments, stdout=out, stderr=out)
    assert caught.value.returncode == 1
    return out.getvalue(), str(caught.value)


def test_intact_trail_is_one_line_and_noted(trail: None, run: Any) -> None:
    assert run(VERIFY) == "intact: 20 events up to 20; without an anchor a cut-off end would not show\n"
    assert last_event().details == {"events": 20, "findings": 0, "with_anchor": False}
    assert run(VERIFY).startswith("intact: 21 events up to 21")


def test_trail_without_events_is_intact(run: Any) -> None:
    assert run(VERIFY).startswith("intact: 0 events up to 0")


def test_every_finding_is_printed_and_counted(trail: None) -> None:
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET reason = 'Edited.' WHERE sequence IN (3, 9)")
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence = 6")
        printed, refusal = broken()
        assert printed.splitlines() == [
            "event 3: edited: its hash is not that of its columns",
            "event 6: missing: 6 is not there",
            "event 9: edited: its hash is not that of its columns",
        ]
        assert refusal == "BROKEN: 19 events up to 20, 3 findings (edited: 2, missing: 1)"
        assert recorded()[-1] == "audit.verified"


def test_long_list_of_findings_is_cut_and_counted(settings: Any) -> None:
    with transaction.atomic():
        audit.append(factories.superactor(), *(audit.Event("test.done", "thing", "1") for _ in range(70)))
    settings.AUDIT_KEY = "2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="
    printed, refusal = broken()
    assert printed.splitlines()[-1] == "and 20 more"
    assert refusal == "BROKEN: 70 events up to 70, 70 findings (unknown key: 70)"


def test_cut_off_end_is_found_with_the_anchor(trail: None, run: Any, tmp_path: Path, settings: Any) -> None:
    anchors = tmp_path / "anchors"
    run("anchor_audit", "--file", str(anchors))
    assert run(VERIFY, "--anchor", str(anchors)) == "intact: 21 events up to 21, and 1 anchor\n"
    settings.AUDIT_ANCHOR_FILE = str(anchors)
    assert run(VERIFY) == "intact: 22 events up to 22, and 1 anchor\n"

    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence > 15")
        AuditHead.objects.update(sequence=15, hash=reading.hash_at(15))
        assert run(VERIFY, "--anchor", "").startswith("intact: 15 events")
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence > 15")
        AuditHead.objects.update(sequence=15, hash=reading.hash_at(15))
        assert broken()[1] == "BROKEN: 15 events up to 15, 1 finding (tail cut off: 1)"


@pytest.mark.parametrize("content", ["", "nonsense\n", "{}\n"])
def test_anchors_that_are_none_are_refused(trail: None, tmp_path: Path, content: str) -> None:
    path = tmp_path / "anchors"
    path.write_text(content)
    assert "anchor" in broken("--anchor", str(path))[1]


@pytest.mark.parametrize("option", ["--anchor", "--file"])
def test_file_that_is_not_there_is_refused(option: str, tmp_path: Path) -> None:
    assert "cannot be read: No such file" in broken(option, str(tmp_path / "nothing"))[1]
    assert "cannot be read: Is a directory" in broken(option, str(tmp_path))[1]


def test_key_that_is_no_key_is_refused(trail: None, settings: Any) -> None:
    settings.AUDIT_KEY = "short"
    assert broken()[1].startswith("AUDIT_KEY is not usable.")


def test_database_that_cannot_be_read_is_told_in_a_line(trail: None, monkeypatch: Any) -> None:
    def fail(**_options: Any) -> Any:
        raise DatabaseError("the disk is gone\nDETAIL: of no interest")

    monkeypatch.setattr(reading, "rows", fail)
    assert broken()[1] == "The trail cannot be read from the database: the disk is gone"


def test_exported_file_is_verified_and_damage_to_it_found(trail: None, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    run("export_audit", "--output", str(path))
    assert run(VERIFY, "--file", str(path)).startswith("intact: 21 events in the file, 1 to 21")
    assert recorded()[-1] == "audit.exported", "a file is verified without a note"

    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert broken("--file", str(path))[1] == ("BROKEN: 20 events in the file, 1 to 21, 1 finding (tail cut off: 1)")
    path.write_bytes(b"".join(lines).replace(b"Because.", b"Before. ", 1))
    assert broken("--file", str(path))[0] == "event 1: edited: line 2: its hash is not that of its columns\n"
    path.write_bytes(b"\x00\xff" * 1000)
    assert broken("--file", str(path))[1].startswith("BROKEN: 0 events in the file")
    path.write_bytes(exported(list(reading.rows())))
    assert "not the signed header" in broken("--file", str(path))[0]


def test_file_is_verified_without_a_database(trail: None, run: Any, tmp_path: Path, project_root: Path) -> None:
    path = tmp_path / "export.jsonl"
    run("export_audit", "--output", str(path))
    environment = {
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings_test",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:9/nothing",
        "PATH": "/usr/bin:/bin",
    }
    line = [sys.executable, "manage.py", "verify_audit", "--file", str(path)]
    done = subprocess.run(line, env=environment, cwd=project_root, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("intact: 21 events in the file, 1 to 21")

    path.write_text(path.read_text().replace("Because.", "Before. ", 1))
    done = subprocess.run(line, env=environment, cwd=project_root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "CommandError: BROKEN" in done.stderr


def test_label_of_a_stranger_is_visible_text_in_a_finding(trail: None) -> None:
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET key_id = %s WHERE sequence = 3", ["\x1b[2J\u202e"])
        printed, _refusal = broken()
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert json.dumps(printed)


def test_result_that_cannot_be_recorded_is_told_all_the_same(trail: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_values: Any) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(audit, "append", full)
    out = StringIO()

    call_command(VERIFY, stdout=out, stderr=out)

    assert "This verification could not be recorded in the trail." in out.getvalue()
    assert "intact: 20 events up to 20" in out.getvalue()
