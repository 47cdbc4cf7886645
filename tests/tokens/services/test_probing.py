"""The sweep probes quiet installations gently, through the door of every backend call, and notes what it learnt."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flowlu_admin.sandbox.server import SandboxServer
from installations.flowlu.configured import flowlu_client
from installations.liveness import Kind
from installations.models import Application, Evidence, Installation, Liveness, PortalUser, ScopeUsage
from installations.services import lock, suspend_installation
from tests import factories
from tests.embedded import Frontend
from tests.refreshed import page as refreshed_page
from tokens import observations
from tokens.models import OAuthToken, Purpose, ServiceCall
from tokens.services import probing
from tokens.services.purposes import switch_purpose
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


def never() -> bool:
    return False


def probe() -> int:
    return probing.probe_quiet(never)


@pytest.fixture
def purpose(db: None) -> Purpose:
    return factories.purpose("liveness", scopes=["user.me.read"])


@pytest.fixture
def here(ana: Frontend, purpose: Purpose) -> Installation:
    """A quiet installation whose token has time left, due for a probe."""
    ana.open()
    return quiet(Installation.objects.get(portal__domain="acme.flowlu.com"))


@pytest.fixture
def there(gus: Frontend, purpose: Purpose) -> Installation:
    """The same on the other portal."""
    gus.open()
    return quiet(Installation.objects.get(portal__domain="globex.flowlu.com"))


def quiet(here: Installation, *, days: float = 20, left: timedelta | None = 30 * DAY) -> Installation:
    factories.approve(here, "user.me.read")
    here.evidence.update(observed_at=timezone.now() - days * DAY)
    here.tokens.update(expires_at=timezone.now() + left if left else None)
    Liveness.objects.filter(pk=here.pk).update(judge_again_at=timezone.now())
    assert probing.judge_liveness(never) == 1
    due(here)
    return here


def due(here: Installation) -> None:
    """Let the installation's next probe be due, and its portal have been left alone."""
    Liveness.objects.filter(installation__portal=here.portal).update(probed_at=timezone.now() - DAY)
    Liveness.objects.filter(pk=here.pk).update(probe_after=timezone.now() - timedelta(minutes=1))


def found(here: Installation) -> list[tuple[str, str]]:
    """Return what the sweep noted: kind and detail."""
    return list(here.evidence.filter(kind__startswith="probe").order_by("pk").values_list("kind", "detail"))


def kept(here: Installation) -> Liveness:
    return Liveness.objects.get(pk=here.pk)


def status_of(here: Installation) -> str:
    return Installation.objects.get(pk=here.pk).status


def calls() -> list[tuple[str, str]]:
    return list(ServiceCall.objects.order_by("pk").values_list("call", "outcome"))


def test_probe_asks_whose_the_token_is_and_notes_that_it_was_taken(sandbox: SandboxServer, here: Installation) -> None:
    sandbox.state.clear_requests()

    assert probe() == 1

    assert [(r.method, r.path, r.user_id) for r in sandbox.state.requests()] == [("GET", "core/user/get", "2")]
    assert calls() == [("core/user/get", "ok")]
    assert ServiceCall.objects.get().purpose_id == Purpose.objects.get().pk
    assert found(here) == [("probe_accepted", "")]
    row = kept(here)
    assert (row.state, row.confidence, row.probe_outcome, row.probes_in_vain) == ("quiet", "high", "ok", 0)
    assert row.probe_after is not None
    assert timezone.now() + 13.9 * DAY < row.probe_after < timezone.now() + 21.1 * DAY
    assert probe() == 0


def test_probe_is_no_use_and_changes_no_status(here: Installation) -> None:
    last_seen = here.last_seen_at
    probe()
    observations.flush()
    here.refresh_from_db()
    assert (here.status, here.last_seen_at) == ("active", last_seen)
    assert not here.evidence.filter(kind="call_accepted").exists()
    assert list(ScopeUsage.objects.values_list("purpose", flat=True)) in ([], ["liveness"])


@pytest.mark.parametrize("fault", ["status_401", "error_200"])
def test_token_that_is_refused_before_its_expiry_is_noted_as_refused(
    sandbox: SandboxServer, here: Installation, fault: str
) -> None:
    sandbox.state.add_fault("acme", fault, error_code=11)
    probe()
    assert found(here) == [("probe_refused", "HTTP 401" if fault == "status_401" else "error code 11")]
    assert kept(here).confidence == "low"
    assert OAuthToken.objects.get().state == "stale"
    assert calls() == [("core/user/get", "token_stale")]
    assert status_of(here) == "active"


def test_removed_application_is_suspected_after_refusals_on_two_days_and_never_more(
    sandbox: SandboxServer, here: Installation, api: Any
) -> None:
    Frontend(api, sandbox, "acme.flowlu.com", "1").open()
    quiet(here)
    sandbox.state.remove_application("acme")
    probe()
    assert kept(here).state == "quiet"
    assert probe() == 0
    here.evidence.filter(kind="probe_refused").update(observed_at=timezone.now() - 2 * DAY)
    due(here)

    assert probe() == 1

    row = kept(here)
    assert (row.state, row.confidence) == ("suspected_removed", "medium")
    assert [kind for kind, _detail in found(here)] == ["probe_refused", "probe_refused"]
    assert status_of(here) == "active"
    due(here)
    assert probe() == 0  # no token is left to ask with
    assert kept(here).probe_outcome == "no_credential"
    assert kept(here).state == "suspected_removed"


def test_token_of_unknown_expiry_that_is_refused_says_neither(sandbox: SandboxServer, here: Installation) -> None:
    here.tokens.update(expires_at=None)
    sandbox.state.add_fault("acme", "status_401")
    probe()
    assert found(here) == [("probe_unclear", "HTTP 401, for a token that may have expired")]
    assert kept(here).confidence == "medium"


@pytest.mark.parametrize(
    ("fault", "options", "detail"),
    [
        # What a locked portal or a deactivated application answers is not documented: shown as it comes.
        ("status_403", {}, "error code 22"),
        ("error_200", {"error_code": 45}, "error code 45"),
        ("error_200", {"error_code": 13}, "error code 13"),
        ("error_200", {"error_code": 30}, "error code 30"),
        ("redirect", {}, "HTTP 302"),
        ("status_503", {}, "HTTP 503"),
        ("html", {}, "no answer of Flowlu's form"),
        ("oversized", {"size": 11 * 1024 * 1024}, "an answer that is too large"),
        ("validation_200", {}, "an answer that could not be read"),
        ("wrong_types", {}, "another user than the token's"),
    ],
)
def test_answer_that_says_neither_is_noted_as_it_was_given(
    sandbox: SandboxServer, here: Installation, fault: str, options: dict[str, Any], detail: str
) -> None:
    sandbox.state.add_fault("acme", fault, **options)
    probe()
    [(kind, noted)] = found(here)
    assert kind == "probe_unclear"
    assert detail in noted
    assert "belongs to the portal" not in noted
    row = kept(here)
    assert (row.state, row.confidence, row.probes_in_vain) == ("quiet", "medium", 1)


def test_answer_that_comes_too_late_says_neither(sandbox: SandboxServer, here: Installation, settings: Any) -> None:
    settings.FLOWLU_READ_SECONDS = settings.FLOWLU_TOTAL_SECONDS = 1
    sandbox.state.add_fault("acme", "delay", delay_seconds=3)
    probe()
    sandbox.state.clear_faults()
    assert found(here) == [("probe_unclear", "no answer in time")]


def test_portal_that_asks_to_wait_is_left_alone(sandbox: SandboxServer, here: Installation) -> None:
    sandbox.state.add_fault("acme", "status_429")
    assert probe() == 1
    assert found(here) == []
    assert (kept(here).probe_outcome, kept(here).probes_in_vain) == ("rate_limited", 1)
    assert probe() == 0


def test_portal_that_is_not_reached_while_another_one_is_is_noted(
    sandbox: SandboxServer, here: Installation, there: Installation
) -> None:
    sandbox.state.add_fault("acme", "reset")
    assert probe() == 2
    assert found(here) == [("probe_unreached", "no connection")]
    assert found(there) == [("probe_accepted", "")]


def test_portal_whose_name_is_gone_is_noted_as_that(here: Installation, there: Installation, settings: Any) -> None:
    observed_elsewhere(there)
    settings.FLOWLU_PORTAL_URL = "http://{portal}.invalid"
    due(here)
    Liveness.objects.exclude(pk=here.pk).update(probe_after=None)
    assert probe() == 1
    assert found(here) == [("probe_unreached", "its name was not found")]


def test_portal_that_is_not_asked_has_not_been_tried(here: Installation, there: Installation, settings: Any) -> None:
    for _ in range(settings.PORTAL_FAILURES):
        flowlu_client()._breaker.failed("acme.flowlu.com")
    assert probe() == 2
    assert (found(here), found(there)) == ([], [("probe_accepted", "")])
    assert kept(here).probe_outcome == "flowlu_unavailable"


def observed_elsewhere(there: Installation) -> None:
    Evidence.objects.create(installation=there, kind=Kind.CALL_ACCEPTED)


def test_where_nothing_is_reached_nothing_is_noted(
    sandbox: SandboxServer, here: Installation, there: Installation
) -> None:
    sandbox.state.add_fault("acme", "reset")
    sandbox.state.add_fault("globex", "reset")

    assert probe() == 2

    assert (found(here), found(there)) == ([], [])
    for row in (kept(here), kept(there)):
        assert (row.state, row.confidence) == ("quiet", "medium")
        assert (row.probe_outcome, row.probes_in_vain) == ("flowlu_unavailable", 0)
        assert row.probe_after is not None
        assert row.probe_after < timezone.now() + timedelta(hours=2)


def test_sweep_gives_up_after_three_portals_that_are_not_reached(
    sandbox: SandboxServer, here: Installation, application: Application, settings: Any
) -> None:
    settings.FLOWLU_PORTAL_URL = "http://{portal}.invalid"
    for number in range(4):
        record = factories.launch(application, portal=f"p{number}.flowlu.com")
        factories.token(record.installation, record.portal_user, f"token-{number}")
        quiet(record.installation)

    assert probe() == 3

    assert Evidence.objects.filter(kind__startswith="probe").count() == 0


def test_portal_is_asked_once_in_a_while_however_much_is_quiet_there(
    sandbox: SandboxServer, here: Installation, ana: Frontend, settings: Any
) -> None:
    other = factories.application("com.example.other")
    record = factories.launch(other)
    factories.token(record.installation, record.portal_user, "another-token")
    quiet(record.installation)
    due(here)

    assert probe() == 1
    waiting = Liveness.objects.get(probe_outcome="")
    assert waiting.probe_after is not None
    assert timezone.now() + timedelta(minutes=59) < waiting.probe_after < timezone.now() + timedelta(minutes=91)
    assert probe() == 0


def test_each_probe_in_vain_doubles_the_wait(sandbox: SandboxServer, here: Installation) -> None:
    waits = []
    for _ in range(5):
        sandbox.state.add_fault("acme", "status_503", times=1)
        due(here)
        assert probe() == 1
        after = kept(here).probe_after
        assert after is not None
        waits.append(after - timezone.now())
    for wait, days in zip(waits, (3, 6, 12, 24, 30), strict=True):
        assert days * DAY - timedelta(minutes=1) < wait < days * 1.5 * DAY


@pytest.mark.parametrize(
    "change",
    [
        lambda: Purpose.objects.all().delete(),
        lambda: Purpose.objects.update(enabled=False),
        lambda: Purpose.objects.update(expires_at=timezone.now() - DAY),
        lambda: Purpose.objects.update(acts_as="system"),
        lambda: Purpose.objects.update(code="another"),
    ],
)
def test_without_the_purpose_nothing_is_asked(
    sandbox: SandboxServer, here: Installation, change: Callable[[], Any]
) -> None:
    sandbox.state.clear_requests()
    change()
    assert probe() == 0
    assert (sandbox.state.requests(), calls()) == ([], [])
    assert kept(here).probed_at < timezone.now() - timedelta(hours=1)  # type: ignore[operator]


def test_no_probes_are_made_where_none_are_wanted(here: Installation, settings: Any) -> None:
    settings.LIVENESS_PROBES_PER_SWEEP = 0
    assert probe() == 0


def test_purpose_that_is_switched_off_in_the_middle_ends_the_sweep(
    sandbox: SandboxServer, here: Installation, there: Installation, purpose: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    due(there)
    due(here)
    ask = probing._ask
    sandbox.state.clear_requests()

    def ask_and_switch_off(*args: Any) -> Any:
        brought = ask(*args)
        switch_purpose(purpose_id=purpose.pk, on=False, actor=factories.superactor(), reason="A test.")
        return brought

    monkeypatch.setattr(probing, "_ask", ask_and_switch_off)

    assert probe() == 2

    assert len(sandbox.state.requests()) == 1
    assert [outcome for _call, outcome in calls()] == ["ok", "purpose_disabled"]
    left = Liveness.objects.get(probe_outcome="purpose_disabled")
    assert left.probes_in_vain == 0
    assert left.probe_after is not None
    assert left.probe_after <= timezone.now()
    assert probe() == 0


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        (lambda here: lock(target=here, actor=factories.superactor(), reason="A test."), "installation_locked"),
        (lambda here: lock(target=here.portal, actor=factories.superactor(), reason="A test."), "installation_locked"),
        (
            lambda here: suspend_installation(installation_id=here.pk, actor=factories.superactor(), reason="A test."),
            "installation_suspended",
        ),
        (lambda here: here.approved_permissions.all().delete(), "insufficient_scope"),
        (lambda here: Purpose.objects.update(covers={}), "scope_not_in_purpose"),
        (
            lambda here: Application.objects.update(allowed_portals=["globex.flowlu.com"]),
            "portal_not_allowed",
        ),
    ],
)
def test_every_check_of_a_backend_call_counts_and_nothing_is_sent(
    sandbox: SandboxServer, here: Installation, stop: Callable[[Installation], Any], outcome: str
) -> None:
    sandbox.state.clear_requests()
    stop(here)
    assert probe() == 1
    assert sandbox.state.requests() == []
    assert calls() == [("core/user/get", outcome)]
    assert found(here) == []
    assert kept(here).probe_outcome == outcome


@pytest.mark.parametrize(
    "stop",
    [
        lambda: lock(target=PortalUser.objects.get(), actor=factories.superactor(), reason="A test."),
        lambda: revoke_tokens(
            target=RevocationTarget.of_installation(Installation.objects.get().pk),
            actor=factories.superactor(),
            reason="A test.",
        ),
        lambda: OAuthToken.objects.update(expires_at=timezone.now() - DAY),
        lambda: OAuthToken.objects.update(state="stale", sealed_access_token=None),
    ],
)
def test_without_a_token_that_should_be_taken_nothing_is_asked(
    sandbox: SandboxServer, here: Installation, stop: Callable[[], Any]
) -> None:
    sandbox.state.clear_requests()
    stop()
    assert probe() == 0
    assert sandbox.state.requests() == []
    row = kept(here)
    assert (row.probe_outcome, row.probes_in_vain) == ("no_credential", 1)
    assert row.probe_after is not None
    assert row.probe_after > timezone.now() + 2.9 * DAY


def test_token_that_cannot_be_unsealed_shows_nothing_of_flowlu(sandbox: SandboxServer, here: Installation) -> None:
    sandbox.state.clear_requests()
    here.tokens.update(sealed_access_token=b"damaged")
    assert probe() == 1
    assert (sandbox.state.requests(), found(here)) == ([], [])
    assert kept(here).probe_outcome == "token_stale"


def test_pair_that_is_refreshed_here_is_probed_with_a_fresh_token(
    refreshing: SandboxServer, application: Application, api: Any, purpose: Purpose
) -> None:
    refreshed_page(refreshing, application, api)
    here = quiet(Installation.objects.get(), left=-DAY)
    assert probe() == 1
    assert found(here) == [("probe_accepted", "")]


def test_pair_whose_refresh_fails_for_now_shows_nothing(
    refreshing: SandboxServer, application: Application, api: Any, purpose: Purpose
) -> None:
    refreshed_page(refreshing, application, api)
    here = quiet(Installation.objects.get(), left=-DAY)
    here.tokens.update(sealed_access_token=None, state="stale")
    refreshing.state.oauth.add_fault("status_503", endpoint="token")
    assert probe() == 1
    assert found(here) == []
    assert kept(here).probe_outcome == "flowlu_unavailable"


def test_sweep_that_is_stopped_asks_no_more(here: Installation) -> None:
    assert probing.probe_quiet(lambda: True) == 0
    assert probing.probe_quiet(never, seconds=-1) == 0
    Liveness.objects.update(judge_again_at=timezone.now())
    assert probing.judge_liveness(lambda: True) == 0
    assert probing.judge_liveness(never, seconds=-1) == 0


def test_installation_that_another_sweep_took_is_left_to_it(here: Installation) -> None:
    row = probing._due().get()
    assert probing._claim(row) is True
    Liveness.objects.update(probed_at=timezone.now() - DAY)  # the portal itself could be asked again
    assert probing._claim(row) is False


def test_installation_that_is_opened_during_its_probe_has_no_next_one(
    here: Installation, ana: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = probing._ask

    def ask_and_open(*args: Any) -> Any:
        brought = ask(*args)
        ana.open()
        return brought

    monkeypatch.setattr(probing, "_ask", ask_and_open)
    assert probe() == 1
    row = kept(here)
    assert (row.state, row.probe_after) == ("seen", None)


def test_verdicts_of_a_release_before_are_made_up_for(here: Installation) -> None:
    Liveness.objects.all().delete()
    assert probing.judge_liveness(never) == 1
    assert kept(here).state == "quiet"
