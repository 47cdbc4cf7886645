"""`doctor` without a portal: a deployment that is well, each thing that is not, with what mends it, and no secret."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from flowlu_admin.doctor import deployment
from flowlu_admin.notices.models import NoticeDelivery
from installations.actors import command_actor
from installations.audit import Event, append
from installations.models import Application, AuditEvent, AuditHead
from installations.trail import anchoring
from tests import factories
from tests.catalogues import entry, save, tamper
from tests.unchanged import nothing_changes
from tokens.models import SweepRun

pytestmark = pytest.mark.django_db

SECRETS = ("password-of-the-database", "password-of-redis", "password-of-the-mail")


@pytest.fixture
def well(settings: Any, application: Application, tmp_path: Path) -> Any:
    """A development machine on which all was done: nothing to find."""
    settings.DEBUG, settings.PUBLIC_URL = True, "http://127.0.0.1:8000"
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors.jsonl")
    SweepRun.objects.create(name="judge_liveness", started_at=timezone.now())
    call_command("anchor_audit", stdout=StringIO())
    call_command("verify_audit", stdout=StringIO())
    return settings


def said(*line: str) -> tuple[list[dict[str, str]], str]:
    out, refusal = StringIO(), ""
    try:
        call_command("doctor", "--json", *line, stdout=out, stderr=out)
    except CommandError as error:
        refusal = str(error)
    text = out.getvalue() + refusal
    assert [secret for secret in SECRETS if secret in text] == []
    return json.loads(out.getvalue())["findings"], refusal


def findings(check: str | None = None) -> list[tuple[str, str]]:
    """Return level and words of what is to be mended; each says how."""
    found, refusal = said()
    bad = [each for each in found if each["level"] in ("error", "warning")]
    assert bool(bad) is bool(refusal)
    assert all(each["fix"] for each in bad)
    return [(each["level"], each["words"]) for each in bad if check in (None, each["check"])]


def test_deployment_that_is_well_has_no_finding(well: Any) -> None:
    found, refusal = said()
    assert refusal == ""
    assert [each["check"] for each in found if each["level"] not in ("ok", "note")] == []
    assert {each["check"] for each in found} == {check.name for check in deployment.CHECKS}


def test_plain_report_has_a_line_for_each_and_how_it_is_mended(well: Any) -> None:
    SweepRun.objects.all().delete()
    out = StringIO()
    with pytest.raises(CommandError, match=r"^0 errors, 1 warning, \d notes?$") as refused:
        call_command("doctor", stdout=out)
    assert refused.value.returncode == 1
    lines = out.getvalue().splitlines()
    at = lines.index("warning  jobs         no periodic job ever ran: nothing is refreshed, wiped or anchored")
    assert lines[at + 1].strip() == "-> keep manage.py sweep --every 60 running, or Celery's worker and beat"

    SweepRun.objects.create(name="judge_liveness", started_at=timezone.now())
    out = StringIO()
    call_command("doctor", stdout=out)
    assert out.getvalue().splitlines()[-1].startswith("0 errors, 0 warnings, ")


def test_system_checks_are_among_it_and_do_not_stop_it(well: Any) -> None:
    well.FLOWLU_TOKEN_HEADER = "Host: {token}"
    well.AUDIT_KEY = ""
    assert [level for level, _words in findings("settings")] == ["error", "error"]
    assert findings("keys") == [("error", "AUDIT_KEY is not usable")]
    assert findings("audit trail") == [("error", "cannot be read without AUDIT_KEY")]


def test_checks_for_a_deployment_are_asked_without_debug(well: Any) -> None:
    well.DEBUG, well.SECURE_HSTS_SECONDS = False, 0
    assert any("security.W004" in words for _level, words in findings("settings"))


def test_migrations_that_are_missing(well: Any) -> None:
    last = MigrationRecorder.Migration.objects.filter(app="tokens").order_by("name").last()
    MigrationRecorder(connection).record_unapplied("tokens", last.name)
    found, refusal = said()
    assert refusal.startswith("1 error, 0 warnings")
    words = {each["check"]: each["words"] for each in found}
    assert words["migrations"] == "some are missing"
    assert words["keys"] == words["console"] == "not looked at: migrations are missing"


def test_database_that_does_not_answer(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise DatabaseError("password-of-the-database")

    monkeypatch.setattr(connection, "cursor", refuse)
    found, refusal = said()
    assert refusal.startswith("1 error, 0 warnings")
    words = {each["check"]: each["words"] for each in found}
    assert words["database"] == "does not answer (DatabaseError)"
    assert words["keys"] == words["console"] == "not looked at: the database does not answer"
    assert words["broker"] == "none is set: tasks run in the process that asks"


def test_database_that_is_slow_or_shared_by_processes(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(100))
    monkeypatch.setattr(deployment, "monotonic", lambda: next(times) * 0.1)
    well.WEB_CONCURRENCY, well.SHARES_COUNTS = 2, False
    found = findings("database")
    assert found[0] == ("warning", "needs 100 ms to read nothing")
    if connection.vendor == "sqlite":
        assert found[1:] == [("warning", "several processes share SQLite")]


def test_database_that_is_asked_in_clear(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "_is_in_clear", lambda: True)
    words = "the connection to the database leaves this machine and is not encrypted"
    assert findings("database") == [("warning", words)]


@pytest.mark.postgresql
def test_connection_in_clear_is_one_to_another_machine_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    for host, elsewhere in (("", False), ("/run/postgresql", False), ("127.0.0.1", False), ("db.example.com", True)):
        monkeypatch.setitem(connection.settings_dict, "HOST", host)
        assert deployment._is_in_clear() is (elsewhere and not connection.connection.pgconn.ssl_in_use)


def test_key_that_rows_need_and_catalogue_that_is_damaged(well: Any, application: Application) -> None:
    record = factories.launch(application)
    factories.token(record.installation, record.portal_user)
    well.TOKEN_KEYS = "k2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="
    assert findings("keys") == [("error", "rows need the key 'k1' of TOKEN_KEYS, which is missing")]
    save(entry())
    tamper("document", "damaged <secret>")
    ((level, words),) = findings("catalogue")
    assert (level, words.endswith("is damaged, so every call is denied")) == ("error", True)


def test_what_waits_to_be_sent_for_long(well: Any) -> None:
    late = timezone.now() - timedelta(minutes=40)
    NoticeDelivery.objects.create(channel="webhook", recipient="webhook:1", due_at=late)
    NoticeDelivery.objects.create(channel="webhook", recipient="webhook:2", due_at=timezone.now())
    assert findings("queues") == [("warning", "1 notices to operators are late, the first by 40 minutes")]


def test_needs_of_the_console_are_told(well: Any, application: Application) -> None:
    factories.installation(application, portal="acme.flowlu.com")
    SweepRun.objects.create(name="a_job", started_at=timezone.now(), failing_since=timezone.now())
    found, _refusal = said()
    console = {each["words"]: each["level"] for each in found if each["check"] == "console"}
    assert console == {"The periodic job a_job fails": "warning", "1 installation waits for approval": "note"}


def test_trail_that_is_anchored_nowhere_or_long_ago(well: Any, tmp_path: Path) -> None:
    well.AUDIT_ANCHOR_FILE = str(tmp_path / "another.jsonl")
    assert findings("audit trail") == [("warning", "the file of anchors is not there, or empty")]
    well.AUDIT_ANCHOR_FILE = ""
    assert findings("audit trail") == [("warning", "it is anchored nowhere: a cut-off end would not show")]


def test_trail_that_was_not_verified_or_anchored_for_long(
    well: Any, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction.atomic():
        append(command_actor(), Event("application.registered", "application", "1"))
    later = timezone.now() + timedelta(days=3)
    monkeypatch.setattr(deployment.timezone, "now", lambda: later)
    assert findings("audit trail") == [
        ("warning", "the last anchor is more than two days old"),
        ("warning", "it was not verified for two days"),
    ]


def test_trail_that_was_cut_off_or_written_in(well: Any, application: Application) -> None:
    factories.launch(application)
    anchoring.anchor_to_file(path=Path(well.AUDIT_ANCHOR_FILE), actor=command_actor())
    AuditHead.objects.update(hash="0" * 64)
    ((level, words),) = findings("audit trail")
    assert (level, words) == ("error", "The end of the chain does not verify. Nothing was anchored; run verify_audit.")


def test_trail_that_was_found_broken(well: Any) -> None:
    details = {"events": 3, "findings": 2, "with_anchor": True}
    with transaction.atomic():
        append(command_actor(), Event("audit.verified", "audit trail", "3", details=details))
    assert findings("audit trail") == [("error", "the last verification found it broken")]
    assert ("warning", "The audit trail is broken: 2 findings") in findings("console")


def test_file_of_anchors_that_is_empty(well: Any) -> None:
    Path(well.AUDIT_ANCHOR_FILE).write_text("")
    assert findings("audit trail") == [("warning", "the file of anchors is not there, or empty")]


def test_file_of_anchors_whose_folder_is_not_there(well: Any, tmp_path: Path) -> None:
    well.AUDIT_ANCHOR_FILE = str(tmp_path / "nowhere" / "anchors.jsonl")
    assert ("error", "AUDIT_ANCHOR_FILE cannot be written") in findings("audit trail")


def test_file_of_anchors_that_is_another_ones(well: Any, tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    path.write_text("not an anchor\n")
    ((level, words),) = findings("audit trail")
    assert (level, words.startswith("The file of anchors cannot be relied on")) == ("error", True)
    well.AUDIT_ANCHOR_FILE = str(tmp_path)
    assert findings("audit trail")[0][1].startswith("The file of anchors cannot be read")


def test_empty_trail_is_asked_for_nothing_but_a_place(settings: Any, tmp_path: Path) -> None:
    settings.DEBUG, settings.PUBLIC_URL = True, "http://127.0.0.1:8000"
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors.jsonl")
    assert not AuditEvent.objects.exists()
    assert findings("audit trail") == []


def test_nothing_is_changed_by_a_look(well: Any) -> None:
    with nothing_changes():
        said()


def test_secrets_in_addresses_are_not_told(well: Any) -> None:
    well.SHARES_COUNTS = True
    well.CACHES = {"default": {"LOCATION": "redis://:password-of-redis@127.0.0.1:1/0"}}
    well.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    well.EMAIL_HOST, well.EMAIL_PORT, well.EMAIL_HOST_PASSWORD = "127.0.0.1", 1, "password-of-the-mail"
    assert [level for level, _words in [*findings("redis"), *findings("mail")]] == ["error", "error"]
