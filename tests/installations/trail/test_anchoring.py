"""Anchors: the head of the chain in a file that is appended to, or at a receiver; never one that buries a cut."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from installations import audit
from installations.audit_files import read_anchors
from installations.audit_models import AuditCheckpoint, AuditEvent, AuditHead
from installations.errors import StateConflict
from installations.trail import reading
from installations.trail.anchoring import anchor_if_due, anchor_to_file, anchor_to_url
from tests import factories
from tests.tampering import TABLE, as_owner
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db
ACTOR = factories.superactor()


def record(count: int) -> None:
    with transaction.atomic():
        audit.append(ACTOR, *(audit.Event("test.done", "thing", str(number)) for number in range(count)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    record(10)
    return tmp_path / "anchors.jsonl"


def anchored(path: Path) -> list[int]:
    with path.open("rb") as stream:
        return [anchor.link.sequence for anchor in read_anchors(stream, audit.audit_keys())]


def test_head_is_appended_signed_and_noted(path: Path) -> None:
    head = reading.head()
    assert anchor_to_file(path=path, actor=ACTOR).changed is True
    event = last_event()
    assert (event.verb, event.target_id) == ("audit.anchored", "10")
    assert event.details == {"to": "file", "where": "anchors.jsonl"}
    record(5)
    assert anchor_to_file(path=path, actor=ACTOR).head.sequence == 16

    assert anchored(path) == [10, 16]
    with path.open("rb") as stream:
        assert read_anchors(stream, audit.audit_keys())[0].link == head
    assert path.stat().st_mode & 0o077 == 0


def test_same_head_is_anchored_once(path: Path) -> None:
    anchor_to_file(path=path, actor=ACTOR)
    head = AuditHead.objects.get()
    with as_owner() as cursor:  # as if nothing had been noted
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence = 11")
        AuditHead.objects.update(sequence=10, hash=reading.hash_at(10))
        assert anchor_to_file(path=path, actor=ACTOR).changed is False
    assert AuditHead.objects.get() == head
    assert anchored(path) == [10]


def test_chain_that_became_shorter_is_refused(path: Path) -> None:
    anchor_to_file(path=path, actor=ACTOR)
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence > 7")
        AuditHead.objects.update(sequence=7, hash=reading.hash_at(7))
        with pytest.raises(StateConflict, match="ends at 7, and at .* it had 10 events: its end was cut off"):
            anchor_to_file(path=path, actor=ACTOR)
    assert anchored(path) == [10]


def test_chain_that_was_cut_and_went_on_is_refused(path: Path) -> None:
    anchor_to_file(path=path, actor=ACTOR)
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence > 7")
        AuditHead.objects.update(sequence=7, hash=reading.hash_at(7))
        record(20)
        with pytest.raises(StateConflict, match="Event 10 is another one"):
            anchor_to_file(path=path, actor=ACTOR)
    assert anchored(path) == [10]


@pytest.mark.parametrize("change", [{"hash": "f" * 64}, {"sequence": 9}, {"sequence": 11}])
def test_head_that_is_not_true_is_not_signed(path: Path, change: dict[str, Any]) -> None:
    AuditHead.objects.update(**change)
    with nothing_changes(), pytest.raises(StateConflict, match="The end of the chain does not verify"):
        anchor_to_file(path=path, actor=ACTOR)
    assert anchored(path) == []


def test_head_that_is_gone_or_behind_is_not_signed(path: Path) -> None:
    AuditHead.objects.all().delete()
    with nothing_changes(), pytest.raises(StateConflict, match="The end of the chain does not verify"):
        anchor_to_file(path=path, actor=ACTOR)
    assert anchored(path) == []


def test_head_on_a_checkpoint_that_we_did_not_sign_is_not_signed(path: Path) -> None:
    anchor_to_file(path=path, actor=ACTOR)
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}")
        forged = {"sequence": 500, "hash": "ab" * 32}
        AuditCheckpoint.objects.create(
            **forged, after=0, events=500, made_at=timezone.now(), key_id=audit.audit_keys().newest.id, mac="00" * 32
        )
        AuditHead.objects.update(**forged)
        with pytest.raises(StateConflict, match="The end of the chain does not verify"):
            anchor_to_file(path=path, actor=ACTOR)
    assert anchored(path) == [10]


def test_file_that_is_not_ours_is_left_as_it_is(path: Path) -> None:
    path.write_text("something else\n")
    with nothing_changes(), pytest.raises(StateConflict, match="cannot be relied on: line 1 is no anchor"):
        anchor_to_file(path=path, actor=ACTOR)
    assert path.read_text() == "something else\n"


def test_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    record(1)
    with nothing_changes(), pytest.raises(StateConflict, match="cannot be written"):
        anchor_to_file(path=tmp_path, actor=ACTOR)


# --- The receiver ----------------------------------------------------------------------------------------------


class Receiver(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.got: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/anchors?key=hidden-in-the-query"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:  # noqa: N802 - as the library calls it
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", self.server.url)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.DEBUG = True
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_signed_head_is_posted_and_only_the_host_is_noted(path: Path, receiver: Receiver) -> None:
    anchor_to_url(url=receiver.url, actor=ACTOR)

    (got,) = receiver.got
    path.write_text(json.dumps(got))
    assert anchored(path) == [10]
    assert last_event().details == {"to": "url", "where": "127.0.0.1"}
    assert got.keys() == {"sequence", "hash", "at", "key_id", "mac"}


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 500])
def test_receiver_that_does_not_take_it_is_told_and_not_followed(path: Path, receiver: Receiver, status: int) -> None:
    receiver.status = status
    with nothing_changes(), pytest.raises(StateConflict, match=f"answered {status}"):
        anchor_to_url(url=receiver.url, actor=ACTOR)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "ftp://example.com/", "https://", "https://user:secret@example.com/", "nonsense", ""]
)
def test_address_that_is_none_or_not_https_is_refused(path: Path, url: str, settings: Any) -> None:
    settings.DEBUG = False
    with nothing_changes(), pytest.raises(StateConflict, match="must be an") as caught:
        anchor_to_url(url=url, actor=ACTOR)
    assert "secret" not in str(caught.value)


def test_receiver_that_is_not_there_is_told(path: Path) -> None:
    with nothing_changes(), pytest.raises(StateConflict, match="could not be reached") as caught:
        anchor_to_url(url="https://127.0.0.1:9/?key=hidden", actor=ACTOR)
    assert "hidden" not in str(caught.value)


# --- When it is due --------------------------------------------------------------------------------------------


def test_nothing_is_due_without_a_setting(path: Path) -> None:
    with nothing_changes():
        assert anchor_if_due(every=timedelta(0)) is False


def test_due_when_something_happened_and_the_last_anchor_is_old(path: Path, settings: Any) -> None:
    settings.AUDIT_ANCHOR_FILE = str(path)

    assert anchor_if_due(every=timedelta(hours=1)) is True
    assert anchor_if_due(every=timedelta(0)) is False, "nothing happened since"
    record(1)
    assert anchor_if_due(every=timedelta(hours=1)) is False, "too soon"
    assert anchor_if_due(every=timedelta(0)) is True
    assert recorded()[-3:] == ["audit.anchored", "test.done", "audit.anchored"]
    assert anchored(path) == [10, 12]


@pytest.mark.parametrize("trouble", ["receiver", "file"])
def test_place_that_is_down_neither_silences_the_other_nor_counts_as_done(
    path: Path, receiver: Receiver, settings: Any, trouble: str
) -> None:
    settings.AUDIT_ANCHOR_FILE, settings.AUDIT_ANCHOR_URL = str(path), receiver.url
    if trouble == "receiver":
        receiver.status = 503
        said = "answered 503"
    else:
        settings.AUDIT_ANCHOR_FILE = str(path.parent / "gone" / path.name)
        said = "cannot be written"

    with pytest.raises(StateConflict, match=said):
        anchor_if_due(every=timedelta(days=1))
    assert (anchored(path) if trouble == "receiver" else [got["sequence"] for got in receiver.got]) == [10]

    asked = len(receiver.got)
    with pytest.raises(StateConflict, match=said):
        anchor_if_due(every=timedelta(days=1))
    assert len(receiver.got) == asked + (trouble == "receiver"), "only the one that failed is due"

    receiver.status, settings.AUDIT_ANCHOR_FILE = 204, str(path)
    assert anchor_if_due(every=timedelta(days=1)) is True
    assert anchor_if_due(every=timedelta(days=1)) is False
    assert anchored(path)
    assert [event.details["to"] for event in AuditEvent.objects.filter(verb="audit.anchored").order_by("sequence")] == (
        ["file", "url"] if trouble == "receiver" else ["url", "file"]
    )
