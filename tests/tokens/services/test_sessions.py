"""What is cut while Flowlu is asked counts: the answer comes too late, and nothing is kept.

The sandbox holds Flowlu's answer back until the cut is committed. The races meet the same with real processes.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.cross_origin import set_allowed_origins
from installations.models import Application, Installation, Portal, PortalUser
from installations.services import lock, suspend_installation
from tests import factories, refreshed
from tests.embedded import Frontend
from tests.unchanged import nothing_changes
from tokens.models import EmbedSession, OAuthToken, Revocation
from tokens.selectors import caller_of
from tokens.services import sessions
from tokens.services.revocation import configure_application, uninstall_installation

pytestmark = pytest.mark.django_db(transaction=True)

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}


def handshake(page: Frontend) -> Any:
    return page.api.post("/api/v1/session", page.launch_values(), format="json")


def elsewhere(page: Frontend) -> Frontend:
    """Return another tab with the same pair and another session."""
    tab = Frontend(APIClient(raise_request_exception=False), page.sandbox, page.portal)
    tab.pair = page.pair
    return tab.open()


def answered_too_late(
    page: Frontend, start: Callable[[Frontend], Any], cut: Callable[[], Any], *, but: Collection[str] = ()
) -> tuple[int, str]:
    """Start, cut while Flowlu thinks it over, and return the refusal."""

    def started() -> Any:
        try:
            return start(page)
        finally:
            connection.close()

    page.sandbox.state.clear_requests()
    page.sandbox.state.add_fault("acme", "delay", delay_seconds=60, path="core/user/get")
    with ThreadPoolExecutor(1) as thread:
        try:
            under_way = thread.submit(started)
            deadline = time.monotonic() + 20
            while not page.sandbox.state.requests():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            cut()
            with nothing_changes(but=but):
                page.sandbox.state.clear_faults()
                response = under_way.result(timeout=20)
        finally:
            page.sandbox.state.clear_faults()
    return response.status_code, response.json()["error"]


@pytest.mark.parametrize("start", [Frontend.hand_over, handshake], ids=["hand-over", "handshake"])
@pytest.mark.parametrize(
    ("cut", "refusal"),
    [
        ("portal", "installation_locked"),
        ("application", "installation_locked"),
        ("installation", "installation_locked"),
        ("user", "user_locked"),
        ("suspended", "installation_suspended"),
    ],
)
def test_lock_or_suspension_counts(ana: Frontend, start: Callable[[Frontend], Any], cut: str, refusal: str) -> None:
    ana.open()
    installation = Installation.objects.get()
    targets = {
        "portal": installation.portal,
        "application": installation.application,
        "installation": installation,
        "user": PortalUser.objects.get(),
    }
    ana.refresh()

    def cut_now() -> None:
        if cut == "suspended":
            suspend_installation(installation_id=installation.pk, **WHY)
        else:
            lock(target=targets[cut], **WHY)

    assert answered_too_late(ana, start, cut_now) == (403, refusal)


def leave_acme_out() -> None:
    application = Application.objects.get()
    configure_application(
        application_id=application.pk,
        stores_refresh_tokens=application.stores_refresh_tokens,
        allowed_portals=["globex.flowlu.com"],
        **WHY,
    )


@pytest.mark.parametrize("known", [True, False], ids=["known", "first launch"])
def test_portal_that_was_left_out_opens_no_session(ana: Frontend, known: bool) -> None:
    if known:
        ana.open()
        ana.refresh()

    assert answered_too_late(ana, handshake, leave_acme_out) == (403, "portal_not_allowed")
    assert EmbedSession.objects.count() == Installation.objects.count() == Portal.objects.count() == known


ORIGIN = "https://app.example.com"


def leave_origin_out() -> None:
    set_allowed_origins(application_id=Application.objects.get().pk, origins=[], **WHY)


def test_page_of_an_origin_that_was_left_out_opens_no_session(ana: Frontend) -> None:
    Application.objects.update(allowed_origins=[ORIGIN])
    ana.api.credentials(HTTP_ORIGIN=ORIGIN)

    assert answered_too_late(ana, handshake, leave_origin_out) == (403, "origin_not_allowed")
    assert EmbedSession.objects.count() == Installation.objects.count() == Portal.objects.count() == 0


def test_page_of_an_origin_that_was_left_out_during_a_refresh_makes_no_call(
    refreshing: SandboxServer, application: Application, api: APIClient
) -> None:
    page = refreshed.page(refreshing, application, api)
    refreshed.soon(OAuthToken.objects.get())
    Application.objects.update(allowed_origins=[ORIGIN])
    api.credentials(HTTP_ORIGIN=ORIGIN)

    refusal = answered_too_late(
        page, Frontend.accounts, leave_origin_out, but={"tokens.OAuthToken", "tokens.RefreshAttempt"}
    )

    assert refusal == (403, "origin_not_allowed")
    assert "account/list" not in str([request.path for request in refreshing.state.requests()])
    assert OAuthToken.objects.get().state == "active"


def test_session_that_is_open_on_a_portal_that_was_left_out_takes_a_refreshed_pair(ana: Frontend) -> None:
    ana.open()
    ana.refresh()
    leave_acme_out()

    assert ana.hand_over().status_code == 204


@pytest.mark.parametrize("start", [Frontend.hand_over, handshake], ids=["hand-over", "handshake"])
def test_revocation_of_the_very_pair_counts(ana: Frontend, start: Callable[[Frontend], Any]) -> None:
    ana.open()
    ana.refresh()
    tab = elsewhere(ana)

    # That a revoked token was handed in again is recorded.
    reported = {"tokens.Revocation", "tokens.RevokedFingerprint", "installations.AuditEvent", "installations.AuditHead"}
    refusal = answered_too_late(ana, start, lambda: tab.delete("session/token"), but=reported)
    assert refusal == (401, "token_revoked")
    assert Revocation.objects.get().handed_in_again == 1


def test_uninstallation_counts_for_a_hand_over(ana: Frontend) -> None:
    ana.open()
    ana.refresh()
    here = Installation.objects.get().pk

    def cut_now() -> None:
        uninstall_installation(installation_id=here, **WHY)

    assert answered_too_late(ana, Frontend.hand_over, cut_now) == (401, "token_revoked")


@pytest.mark.parametrize(
    ("path", "refusal"), [("session", "invalid_session"), ("session/token", "token_revoked")], ids=["end", "revoke"]
)
def test_own_act_counts_for_a_hand_over(ana: Frontend, path: str, refusal: str) -> None:
    ana.open()
    ana.refresh()
    headers = ana.headers

    def cut_now() -> None:
        APIClient().delete(f"/api/v1/{path}", headers=headers)

    assert answered_too_late(ana, Frontend.hand_over, cut_now) == (401, refusal)


def test_pair_that_was_replaced_meanwhile_is_not_the_one_that_did_not_unseal(
    ana: Frontend, all_logs: pytest.LogCaptureFixture
) -> None:
    ana.open()
    caller = caller_of(ana.session_token)
    assert caller is not None
    ana.refresh()
    ana.hand_over()

    with nothing_changes():
        sessions.note_undecryptable_token(caller=caller, reason="tampered", key_id="k1")

    assert [record for record in all_logs.records if record.name == "tokens.services.sessions"] == []
