"""/metrics: closed unless set, the same from every process, bounded in its labels and in what it reads."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from installations.four_columns import utc_today
from installations.models import Application, Installation, Liveness
from tests import factories
from tests.embedded import Frontend
from tokens import day_counts, refusals, sweeps, token_counts, upstream_times
from tokens.models import DayCount, OAuthToken, RefreshAttempt, Revocation, SweepRun
from tokens.services.refreshing import label_unknown
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "only-whoever-watches-the-service-has-this"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True)
def _watched(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN


def ask(token: str = TOKEN) -> Any:
    return Client().get("/metrics", headers={"Authorization": f"Bearer {token}"})


def read() -> Samples:
    response = ask()
    assert response.status_code == 200
    return {
        (sample.name.removeprefix("flowlu_admin_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float | None:
    return read().get((name, tuple(sorted(labels.items()))))


def more_tokens(count: int) -> None:
    """Store so many more, each on a portal of its own."""
    application = Application.objects.get()
    for number in range(count):
        made = factories.launch(application, portal=f"p{number}.flowlu.com", user_id=str(number + 50))
        factories.token(made.installation, made.portal_user, access_token=f"a-token-{number}")


@pytest.fixture
def page(ana: Frontend) -> Frontend:
    ana.open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    return ana


def test_without_the_setting_it_is_as_an_address_that_is_none(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    client = Client(enforce_csrf_checks=True)
    for given in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}):
        for ask_for in (client.get, client.post, client.head):
            answer, nothing = ask_for("/metrics", headers=given), ask_for("/nothing-here", headers=given)
            assert (answer.status_code, answer.content) == (404, nothing.content)


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", f"bearer {TOKEN}", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[1:]}"],
)
def test_nobody_else_is_told_a_number(given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    response = Client().get("/metrics", headers=headers)

    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
    assert b"flowlu_admin" not in response.content


def test_operator_and_query_open_nothing(client: Client, superuser: Any) -> None:
    client.force_login(superuser)
    assert client.get("/metrics").status_code == 401
    assert Client().get("/metrics", {"token": TOKEN}).status_code == 401
    assert Client().post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_answer_is_what_prometheus_reads_and_is_kept_by_nobody() -> None:
    response = ask()

    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert response.headers["Cache-Control"] == "no-store"


def test_calls_are_counted_by_how_they_ended_and_by_how_long_the_portal_took(page: Frontend) -> None:
    for _ in range(3):
        assert page.accounts().status_code == 200
    assert page.get("flowlu/task/tasks/list").status_code == 403
    assert value("requests_total", asked="call", outcome="ok") == 0

    day_counts.flush()

    found = read()
    assert found["requests_total", (("asked", "call"), ("outcome", "ok"))] == 3
    assert found["requests_total", (("asked", "call"), ("outcome", "insufficient_scope"))] == 1
    assert found["requests_total", (("asked", "handshake"), ("outcome", "ok"))] == 1
    assert found["upstream_seconds_count", ()] == 3  # what was refused here was not sent
    assert found["upstream_seconds_bucket", (("le", "+Inf"),)] == 3
    buckets = [found["upstream_seconds_bucket", (("le", str(step)),)] for step in upstream_times.STEPS]
    assert buckets == sorted(buckets)


def test_counts_begin_anew_with_the_month_and_never_go_back_in_it() -> None:
    first = utc_today().replace(day=1)
    day_counts.put(first - timedelta(days=1), DayCount.Subject.CALL, {"ok": 7})
    assert value("requests_total", asked="call", outcome="ok") == 0

    day_counts.put(first, DayCount.Subject.CALL, {"ok": 5})

    assert value("requests_total", asked="call", outcome="ok") == 5


@pytest.mark.parametrize(
    ("seconds", "step"), [(0.0, "0.05"), (0.05, "0.05"), (0.051, "0.1"), (30.0, "30.0"), (30.1, "+Inf"), (99.0, "+Inf")]
)
def test_answer_is_counted_up_to_its_step(seconds: float, step: str) -> None:
    upstream_times.note(seconds)
    day_counts.flush()
    counts = dict(DayCount.objects.filter(subject="upstream").values_list("outcome", "number"))
    assert counts == {step: 1, "milliseconds": round(seconds * 1000)}

    steps, total = upstream_times.up_to(counts)

    assert [name for name, number in steps if number][0] == step
    assert (steps[-1], total) == (("+Inf", 1), round(seconds, 3))


def test_time_to_refusal_is_that_of_the_probe_and_of_the_first_call(page: Frontend) -> None:
    assert value("refusal_seconds", of="probe") is None
    revoke_tokens(
        target=RevocationTarget.of_installation(Installation.objects.get().pk),
        actor=factories.superactor(),
        reason="A test.",
    )
    assert page.accounts().status_code == 401
    refusals.flush()
    Revocation.objects.update(cut_at=timezone.now() - timedelta(seconds=5))

    found = read()

    assert found["recent_revocations", (("probe", "refused"),)] == 1
    assert found["recent_revocations", (("probe", "let_in"),)] == 0
    assert 4 <= found["refusal_seconds", (("of", "probe"),)] <= 6
    assert 4 <= found["refusal_seconds", (("of", "call"),)] <= 6
    Revocation.objects.update(probe=Revocation.Probe.LET_IN)
    assert (value("recent_revocations", probe="let_in"), value("refusal_seconds", of="probe")) == (1, None)
    Revocation.objects.update(cut_at=timezone.now() - timedelta(hours=2))
    assert value("recent_revocations", probe="let_in") == 0


def test_refreshes_are_counted_as_they_end(page: Frontend) -> None:
    attempt = RefreshAttempt.objects.create(oauth_token=OAuthToken.objects.get(), generation=1)
    assert label_unknown(attempt_id=attempt.pk, code="worker_lost") is True
    assert label_unknown(attempt_id=attempt.pk, code="worker_lost") is False
    day_counts.flush()

    assert value("refreshes_total", outcome="unknown") == 1
    assert value("refreshes_total", outcome="fresh") == 0


def test_queue_has_an_age(page: Frontend) -> None:
    Liveness.objects.update(judge_again_at=timezone.now() + timedelta(hours=1))
    assert (value("waiting", queue="evidence"), value("waiting_seconds", queue="evidence")) == (0, 0)

    Liveness.objects.update(judge_again_at=timezone.now() - timedelta(seconds=90))

    found = read()
    assert found["waiting", (("queue", "evidence"),)] == Liveness.objects.count() > 0
    assert 85 <= found["waiting_seconds", (("queue", "evidence"),)] <= 100


def test_job_that_is_late_or_fails_shows() -> None:
    now = timezone.now()
    SweepRun.objects.create(
        name="tell_upstream", started_at=now - timedelta(seconds=100), failing_since=now - timedelta(60)
    )
    SweepRun.objects.create(name="count_days", started_at=now, finished_at=now)
    SweepRun.objects.create(name="a_job_that_is_no_more", started_at=now - timedelta(days=30))

    found = read()

    every = next(job.every_seconds for job in sweeps.JOBS if job.name == "tell_upstream")
    assert 0 <= found["sweep_lag_seconds", (("sweep", "tell_upstream"),)] - (100 - every) <= 10
    assert found["sweep_lag_seconds", (("sweep", "count_days"),)] == 0
    assert found["sweep_failing_seconds", (("sweep", "tell_upstream"),)] > 0
    assert found["sweep_failing_seconds", (("sweep", "count_days"),)] == 0
    assert not [labels for _name, labels in found if ("sweep", "a_job_that_is_no_more") in labels]


def test_tokens_are_counted_by_state_and_key_and_keys_are_named(page: Frontend, settings: Any) -> None:
    found = read()

    assert found["tokens", (("state", "active"),)] == 1
    assert found["tokens", (("state", "revoked"),)] == 0
    key = OAuthToken.objects.get().seal_key_id
    assert found["sealed_tokens", (("key_id", key),)] == 1
    assert found["tokens_estimated", ()] == 0
    assert found["key_needed", (("key_id", key), ("ring", "TOKEN_KEYS"))] == 1
    assert found["key_problems", ()] == 0

    settings.TOKEN_KEYS = "k2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="
    assert value("key_problems") == 1
    settings.TOKEN_KEYS = settings.AUDIT_KEY = ""
    assert value("key_problems") == 1


def test_more_tokens_than_are_counted_are_estimated_where_there_are_statistics(
    page: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_counts, "MOST_COUNTED", 0)
    if connection.vendor != "postgresql":
        assert token_counts.token_counts() is None
        assert value("tokens", state="active") is None
        return
    more_tokens(9)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tokens_oauthtoken")

    found = read()

    assert (found["tokens", (("state", "active"),)], found["tokens_estimated", ()]) == (10, 1)
    assert found["sealed_tokens", (("key_id", OAuthToken.objects.latest("pk").seal_key_id),)] == 10


def test_trail_has_an_age(page: Frontend) -> None:
    found = read()

    head = found["audit_timestamp_seconds", (("what", "head"),)]
    assert 0 <= timezone.now().timestamp() - head <= 60
    assert ("audit_timestamp_seconds", (("what", "anchored"),)) not in found
    assert (found["audit_events", ()] > 0, found["audit_findings", ()]) == (True, 0)


def test_trail_whose_key_is_unusable_has_an_age_and_nothing_else(page: Frontend, settings: Any) -> None:
    settings.AUDIT_KEY = "no key"

    found = read()

    assert ("audit_timestamp_seconds", (("what", "head"),)) in found
    assert not [name for name, _labels in found if name.startswith(("audit_events", "audit_findings"))]


def test_as_many_statements_for_many_installations_as_for_few(page: Frontend) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            read()
        return len(asked)

    few, labels = statements(), set(read())
    more_tokens(20)

    assert (statements(), set(read())) == (few, labels)
    assert few < 60


def test_no_name_is_told(page: Frontend) -> None:
    page.accounts()
    day_counts.flush()
    installation = Installation.objects.get()
    text = ask().content.decode()

    for name in (page.portal, "flowlu.com", installation.application.app_id, installation.application.name, TOKEN):
        assert name not in text


def test_database_that_does_not_answer_is_no_set_of_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: Any) -> Any:
        raise OperationalError

    with connection.execute_wrapper(away):
        response = ask()

    assert (response.status_code, response.content) == (503, b"The database does not answer as it should.\n")
