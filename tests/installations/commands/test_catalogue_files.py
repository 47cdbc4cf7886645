"""`export_catalogue` and `import_catalogue`: what one writes the other takes, and each says what it does."""

import json
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from installations import catalogue, editions
from tests import factories
from tests.catalogues import NOTHING, edit, entry, save, tamper
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db
BY = ("--operator", "reviewer", "--reason", "From staging.")


def said(*arguments: str) -> tuple[str, str]:
    out, note = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=note)
    return out.getvalue(), note.getvalue()


@pytest.mark.parametrize("own", [True, False])
def test_export_reads_back_as_the_catalogue_in_force(own: bool) -> None:
    save(entry("warehouse", title="<Stöck>"))
    edit("fin", "fin/invoice")

    written, note = said("export_catalogue", *(["--own"] if own else []))

    known = editions.in_force()
    entries = known.own if own else known.entries
    assert catalogue.parse_entries(written) == tuple(sorted(entries, key=lambda each: each.code))
    assert note == f"{len(entries)} entries of edition 2 exported\n"
    assert written.isascii()
    assert "<" not in written


def test_export_goes_to_a_new_file_of_its_owner(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    assert run("export_catalogue", "--output", str(path)) == "19 entries of edition 0 exported\n"

    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="exists already"):
        run("export_catalogue", "--output", str(path))
    with pytest.raises(CommandError, match="cannot be written"):
        run("export_catalogue", "--output", str(tmp_path / "nowhere" / "x"))


def test_damaged_edition_is_not_exported(run: Any) -> None:
    save(entry("warehouse"))
    tamper("document", "x")
    with pytest.raises(CommandError, match="Edition 1 of the scope catalogue is damaged: its content"):
        run("export_catalogue")


def test_import_says_what_changed_and_the_trail_who_did_it(reviewer: Any, tmp_path: Path) -> None:
    factories.installation(factories.application(), approved=["fin.read"])
    fin = catalogue.load().described("fin")
    assert fin is not None
    path = tmp_path / "own.json"
    changed = json.loads(catalogue.written([fin, entry("warehouse", "warehouse/stock")]))
    changed["scopes"][0] |= {"covers": changed["scopes"][0]["covers"][:1]}
    changed["scopes"][0]["covers"][0]["model"], changed["scopes"][0]["models"] = "invoice", ["invoice"]
    changed["scopes"][0]["read"]["risk"] = "low"
    path.write_text(json.dumps(changed))

    would = said("import_catalogue", str(path), "--dry-run", *BY)
    assert editions.in_force().edition == 0
    done = said("import_catalogue", str(path), *BY)

    told = (
        "fin: covers less, other risk, other words\n  - fin: every other model, every action\n"
        "  ! read: high becomes low\nwarehouse: new, covers more\n  + warehouse: stock, every action\n"
    )
    assert would == ("would change 2 entries; nothing is saved\n", told)
    assert done == ("edition 1 is in force: 2 entries changed, 1 approval reaches less\n", told)
    assert (last_event().verb, last_event().via, last_event().reason) == (
        "catalogue.imported",
        "command",
        "From staging.",
    )
    with nothing_changes():
        assert said("import_catalogue", str(path), *BY) == ("edition 1: unchanged\n", "")
    path.write_bytes(NOTHING)
    words, _told = said("import_catalogue", str(path), *BY)
    assert words.endswith("0 approvals reach less, 1 approval reaches again what an earlier edit took\n")


def test_import_from_standard_input(reviewer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(catalogue.written([entry("warehouse")]))))
    assert said("import_catalogue", "-", *BY)[0].startswith("edition 1 is in force: 1 entry changed")


def test_file_that_is_no_catalogue_is_refused(reviewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"schema": 1, "scopes": [{}]}')
    with nothing_changes(), pytest.raises(CommandError, match=r"scopes\[0\]: members missing"):
        said("import_catalogue", str(path), *BY)
    with pytest.raises(CommandError, match="cannot be read"):
        said("import_catalogue", str(tmp_path / "nothing"), *BY)


def test_who_may_not_edit_is_refused_and_noted(auditor: Any, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(catalogue.written([entry("warehouse")]))
    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        said("import_catalogue", str(path), "--operator", "auditor", "--reason", "x")
    assert last_event().verb == "attempt.refused"


def test_manifests_are_compared_by_an_exported_catalogue(tmp_path: Path) -> None:
    save(entry("warehouse"))
    exported = tmp_path / "catalogue.json"
    said("export_catalogue", "--output", str(exported))
    old, new = (tmp_path / name for name in ("old", "new"))
    old.write_text(factories.manifest(permissions=["warehouse.full"]))
    new.write_text(factories.manifest(permissions=["warehouse.read"]))

    printed = said("diff_manifests", str(old), str(new), "--catalogue", str(exported))[0].splitlines()
    assert (printed[0], printed[-1]) == ("  narrowed warehouse: from full to read", "nothing new is asked for")
    with pytest.raises(CommandError) as caught:
        said("diff_manifests", str(old), str(new))
    assert caught.value.returncode == 1
    for wrong in (str(old), str(tmp_path / "nothing")):
        with pytest.raises(CommandError) as caught:
            said("diff_manifests", str(old), str(new), "--catalogue", wrong)
        assert caught.value.returncode == 2
