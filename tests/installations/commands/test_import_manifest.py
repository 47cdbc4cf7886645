"""`import_manifest`: from a file or standard input, with every error at its place, without an operator."""

import io
import sys
from types import SimpleNamespace

import pytest
from django.core.management import CommandError

from installations.manifests import MAX_BYTES
from installations.models import Application
from tests import factories
from tests.factories import manifest
from tests.unchanged import last_event, nothing_changes


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "manifest.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def label(app):
    return f"{app.app_id} {app.current_manifest}"


def test_new_application_is_registered(db, file, run):
    printed = run("import_manifest", file(manifest()))

    app = Application.objects.get()
    assert printed == f"{label(app)}: registered\n"
    assert (app.kind, last_event().actor_id, last_event().via) == ("private", "shell", "command")


def test_same_content_again_is_unchanged(application, file, run):
    with nothing_changes():
        assert run("import_manifest", file(manifest())) == f"{label(application)}: unchanged\n"


def test_changed_content_says_how_many_installations_it_concerns(application, file, run):
    factories.launch(application)

    printed = run("import_manifest", file(manifest(version="1.1.0")))

    application.refresh_from_db()
    assert printed == f"{label(application)}: updated; 1 installation asks for its scopes now\n"


def test_kind_is_taken_from_the_option(db, file, run):
    run("import_manifest", file(manifest()), "--kind", "public")

    assert Application.objects.get().kind == "public"


def test_unknown_kind_is_refused(db, file, run):
    with nothing_changes(), pytest.raises(CommandError, match="invalid choice: 'secret'"):
        run("import_manifest", file(manifest()), "--kind", "secret")


def test_dash_reads_standard_input(db, monkeypatch, run):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(manifest().encode())))

    assert run("import_manifest", "-").endswith(": registered\n")


def test_all_errors_come_with_their_place(db, file, run):
    with nothing_changes(), pytest.raises(CommandError) as caught:
        run("import_manifest", file(manifest(version="one", permissions="crm")))

    first, *places = str(caught.value).splitlines()
    assert first == "The manifest cannot be imported. Correct what is listed and import it again."
    assert [line.split(":")[0] for line in places] == ["  version", "  permissions"]
    assert caught.value.returncode == 1


def test_broken_json_is_refused_with_line_and_column(db, file, run):
    with nothing_changes(), pytest.raises(CommandError, match=r"line 2, column \d+: "):
        run("import_manifest", file('{\n "appId": }'))


def test_too_large_a_file_is_refused_without_reading_it_whole(db, file, run):
    with nothing_changes(), pytest.raises(CommandError, match="cannot be imported"):
        run("import_manifest", file(b" " * (MAX_BYTES + 1) + manifest().encode()))


def test_missing_file_is_refused(db, tmp_path, run):
    with nothing_changes(), pytest.raises(CommandError, match=r"nothing.json cannot be read: No such file"):
        run("import_manifest", str(tmp_path / "nothing.json"))


def test_unknown_scope_is_noted(db, file, run):
    printed = run("import_manifest", file(manifest(permissions=["warp.drive"])))

    assert "permissions[0]" in printed
    assert "warp.drive" not in printed.split(":")[0]
    assert printed.endswith(": registered\n")


def test_note_names_the_scope_in_visible_characters_only(db, file, run):
    printed = run("import_manifest", file(manifest(permissions=["task.read", "crm.\u202e\nаccounts", "task.read"])))

    assert "note: permissions[1] (crm.\\u202E\\u000A\\u0430ccounts): " in printed
    assert "note: permissions[2] (task.read): the same as permissions[0]\n" in printed


def test_note_is_written_for_a_person(db, file, run):
    first_line = run("import_manifest", file(manifest(permissions=["warp.drive"]))).splitlines()[0]

    assert first_line == (
        "note: permissions[0] (warp.drive): This scope is not in the catalogue. "
        "It grants nothing and cannot be approved."
    )
