"""An export: recorded before its first byte, whole, verifiable by itself, and flat in memory."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from django.db import transaction

from installations import audit
from installations.audit_files import ExportReader
from installations.errors import NotPermitted, ReasonRequired
from installations.trail import reading
from installations.trail.exporting import Format, export_audit
from tests import factories
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db
ACTOR = factories.superactor()


def record(count: int) -> None:
    with transaction.atomic():
        audit.append(
            ACTOR, *(audit.Event("test.done", "thing", str(number), reason="x" * 100) for number in range(count))
        )


def test_export_is_recorded_first_and_ends_with_that_record(auditor: Any) -> None:
    record(5)
    export = export_audit(format=Format.JSON_LINES, actor=factories.actor(auditor), reason=" For the audit. ")

    event = last_event()
    assert (event.sequence, event.verb, event.target_id, event.reason) == (
        6,
        "audit.exported",
        "jsonl",
        "For the audit.",
    )
    assert event.details == {"from": 1, "to": 6}
    assert (event.actor_name, export.events, export.file_name) == ("auditor", 6, "audit-1-6.jsonl")
    record(3)  # what comes later is not in it
    lines = list(export.lines())
    assert [json.loads(line)["sequence"] for line in lines[1:]] == [1, 2, 3, 4, 5, 6]
    assert list(ExportReader(io.BytesIO("".join(lines).encode()), audit.audit_keys())) == []


def test_csv_has_the_same_events(auditor: Any) -> None:
    record(5)
    export = export_audit(format=Format.CSV, actor=factories.actor(auditor), reason="A look.")
    text = "".join(export.lines())
    assert text.count("\r\n") == 7
    assert text.startswith("sequence,occurred_at,actor_kind,")


@pytest.mark.parametrize("who", ["reviewer", "responder", "outsider"])
def test_only_who_may_export_does(who: str, request: Any) -> None:
    user = request.getfixturevalue(who)
    with nothing_changes(), pytest.raises(NotPermitted):
        export_audit(format=Format.CSV, actor=factories.actor(user), reason="A look.")


def test_reason_is_required() -> None:
    with nothing_changes(), pytest.raises(ReasonRequired):
        export_audit(format=Format.CSV, actor=ACTOR, reason=" ")


def test_memory_does_not_grow_with_the_trail(monkeypatch: Any) -> None:
    monkeypatch.setattr(reading, "BATCH", 100)

    def peak(count: int) -> int:
        record(count)
        export = export_audit(format=Format.JSON_LINES, actor=ACTOR, reason="A look.")
        tracemalloc.start()
        written = sum(len(line) for line in export.lines())
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert written > count * 400
        return used

    peak(200)  # what is imported and cached at first use
    small, large = peak(200), peak(4000)
    assert large < small * 2
