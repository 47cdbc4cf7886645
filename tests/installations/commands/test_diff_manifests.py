"""`diff_manifests`: the changes in lines, and an exit code that a pipeline can rely on."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from installations import catalogue
from tests import factories

ROOT = Path(__file__).resolve().parents[3]


def written(folder: Path, name: str, **members: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(json.loads(factories.manifest()) | members))
    return str(path)


def said(*arguments: str) -> tuple[list[str], int]:
    out = io.StringIO()
    try:
        call_command("diff_manifests", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return [*out.getvalue().splitlines(), str(error)], error.returncode
    return out.getvalue().splitlines(), 0


def test_escalation_is_marked_and_ends_with_1(tmp_path: Path) -> None:
    old = written(tmp_path, "old", permissions=["fin.read", "task.full"], version="1.0.0")
    new = written(tmp_path, "new", permissions=["fin.full", "task.read"], version="1.1.0")

    lines, code = said(old, new)

    assert lines[:3] == ["! widened fin: from read to full (high risk)", "  narrowed task: from full to read",
                         "  version: from 1.0.0 to 1.1.0"]  # fmt: skip
    assert "asks for more than the old one" in lines[3]
    assert lines[3].endswith("Installations go on with what is approved, and ask for the rest.")
    assert code == 1
    assert said(new, written(tmp_path, "less", permissions=["task.read"], version="1.2.0"))[1] == 0


def test_another_host_or_application_leaves_no_scope_to_decide_about(tmp_path: Path) -> None:
    old = written(tmp_path, "old", permissions=["fin.read"], entrypointURL="https://a.example.com/")
    host = written(tmp_path, "host", permissions=["fin.read"], entrypointURL="https://b.example.com/")
    other = written(tmp_path, "other", permissions=["fin.read", "task.read"], appId="com.example.other")

    lines, code = said(old, host)
    assert code == 1
    assert lines[-1].endswith("What is approved goes on, and no scope is to be decided about.")
    assert said(old, other)[0][-1].endswith("It is another application, for which nothing is approved.")


def test_risk_is_said_of_what_is_asked_for_more_and_known(tmp_path: Path) -> None:
    old = written(tmp_path, "old", permissions=["task.full"])
    new = written(tmp_path, "new", permissions=["task.read", "fin.read", "no.such"])

    lines, _code = said(old, new)

    risk = catalogue.load().describe("fin.read").risk
    assert f"! added fin: new, at level read ({risk} risk)" in lines
    assert "! unknown no.such: new and not in the catalogue: it grants nothing here" in lines
    assert "  narrowed task: from full to read" in lines


def test_same_manifest_is_no_change(tmp_path: Path) -> None:
    path = written(tmp_path, "one")
    assert said(path, path) == (["no change"], 0)


def test_narrowing_says_that_nothing_new_is_asked_for(tmp_path: Path) -> None:
    old, new = written(tmp_path, "old", permissions=["fin.read"]), written(tmp_path, "new", permissions=[])
    assert said(old, new)[0][-1] == "nothing new is asked for"


def test_one_of_them_comes_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "one")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(path).read_bytes())))
    assert said(path, "-") == (["no change"], 0)
    assert said("-", "-")[1] == 2


@pytest.mark.parametrize("content", [None, b"{", b'{"appId": 1}', b"[" * 100_000])
def test_what_cannot_be_read_ends_with_2_and_says_which(tmp_path: Path, content: bytes | None) -> None:
    good, bad = written(tmp_path, "good"), tmp_path / "bad"
    if content is not None:
        bad.write_bytes(content)

    for arguments in ((good, str(bad)), (str(bad), good)):
        lines, code = said(*arguments)
        assert code == 2
        assert str(bad) in lines[0]
        assert "import" not in lines[0]


def test_names_are_printed_in_visible_characters_only(tmp_path: Path) -> None:
    old = written(tmp_path, "old", permissions=[])
    new = written(tmp_path, "new", permissions=["fin\u202e.read"])

    lines, code = said(old, new)

    assert code == 1
    assert "\u202e" not in "".join(lines)
    assert "\\u202E" in lines[0]


def test_pipeline_needs_no_database_and_no_settings(tmp_path: Path) -> None:
    path = written(tmp_path, "one")
    environment = {"PATH": "/usr/bin:/bin", "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings", "DEBUG": "1",
                   "VAR_DIR": str(tmp_path / "var")}  # fmt: skip

    ended = subprocess.run(
        [sys.executable, "manage.py", "diff_manifests", path, path],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "no change\n", "")
