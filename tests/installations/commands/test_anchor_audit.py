"""`anchor_audit`: to a file or a receiver, named or set."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from tests import factories
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def test_file_that_is_named_gets_the_head(application: Any, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    assert run("anchor_audit", "--file", str(path)) == "event 1 anchored in the file\n"
    assert run("anchor_audit", "--file", str(path)) == "event 2 anchored in the file\n"
    assert len(path.read_text().splitlines()) == 2


def test_file_and_receiver_that_are_set_are_used(application: Any, run: Any, tmp_path: Path, settings: Any) -> None:
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors")
    assert run("anchor_audit") == "event 1 anchored in the file\n"
    settings.AUDIT_ANCHOR_URL = "https://127.0.0.1:9/"
    with pytest.raises(CommandError, match="event 2 anchored in the file; The receiver of anchors could not be"):
        run("anchor_audit")


def test_named_place_is_the_only_one(application: Any, run: Any, tmp_path: Path, settings: Any) -> None:
    settings.AUDIT_ANCHOR_URL = "https://127.0.0.1:9/"
    assert run("anchor_audit", "--file", str(tmp_path / "anchors")) == "event 1 anchored in the file\n"


def test_no_place_is_refused(application: Any, run: Any) -> None:
    for arguments in ((), ("--file", ""), ("--url", "")):
        with nothing_changes(), pytest.raises(CommandError, match="Name where to anchor") as caught:
            run("anchor_audit", *arguments)
        assert caught.value.returncode == 1


def test_plain_http_is_refused(application: Any, run: Any) -> None:
    with nothing_changes(), pytest.raises(CommandError, match="must be an https address"):
        run("anchor_audit", "--url", "http://anchors.example.com/")


def test_trail_without_events_can_be_anchored(run: Any, tmp_path: Path) -> None:
    assert run("anchor_audit", "--file", str(tmp_path / "anchors")) == "event 0 anchored in the file\n"
    factories.application()
    assert run("anchor_audit", "--file", str(tmp_path / "anchors")) == "event 2 anchored in the file\n"
