"""Verbs at the same time, on PostgreSQL, with real connections: what holds for one after the other holds here too."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.audit import event_hash
from installations.audit_models import AuditEvent, AuditHead
from installations.errors import DomainError, StateConflict
from installations.keys import parse_key_ring
from installations.models import Application, ApprovedPermission, Installation, Portal, PortalUser
from installations.services import approve_scopes, lock, withdraw_scopes
from tests import factories
from tests.embedded import Frontend
from tokens.models import EmbedSession, OAuthToken, RevokedFingerprint
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.services.storing import MAX_LIVE_TOKENS

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

ROUNDS = 30


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run each in a thread of its own, all let go together; return what each returned or raised."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        try:
            barrier.wait(timeout=10)
            results[number] = work()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive(), "a deadlock, or something that never ends"
    return results


def raised(results: Sequence[Any]) -> list[Any]:
    """Return what was raised and is not an answer of the domain."""
    return [found for found in results if isinstance(found, Exception) and not isinstance(found, DomainError)]


def assert_chain_holds() -> int:
    key, previous, sequence = parse_key_ring(django_settings.AUDIT_KEY).newest, "0" * 64, 0
    for row in AuditEvent.objects.order_by("sequence"):
        sequence += 1
        assert (row.sequence, row.previous_hash) == (sequence, previous)
        assert row.hash == event_hash(row, key)
        previous = row.hash
    head = AuditHead.objects.get()
    assert (head.sequence, head.hash) == (sequence, previous)
    return sequence


def assert_no_live_row_holds_a_revoked_token() -> None:
    revoked = RevokedFingerprint.objects.values("fingerprint")
    assert not OAuthToken.objects.live().filter(access_fingerprint__in=revoked).exists()
    assert (
        not OAuthToken.objects.live().exclude(refresh_fingerprint="").filter(refresh_fingerprint__in=revoked).exists()
    )
    wiped = OAuthToken.objects.filter(state="revoked")
    assert not wiped.exclude(sealed_access_token=None, sealed_refresh_token=None).exists()


def frontend(sandbox: SandboxServer, user_id: str = "2") -> Frontend:
    return Frontend(APIClient(raise_request_exception=False), sandbox, "acme.flowlu.com", user_id)


def statuses(results: Sequence[Any]) -> list[int]:
    assert raised(results) == []
    return [found.status_code for found in results]


@pytest.mark.parametrize("same_token", [True, False])
def test_two_first_launches_make_one_of_each(
    sandbox: SandboxServer, application: Application, same_token: bool
) -> None:
    for portal in ("acme.flowlu.com", "globex.flowlu.com"):
        pages = [Frontend(APIClient(), sandbox, portal) for _ in range(4)]
        if same_token:
            for page in pages:
                page.pair = pages[0].pair

        assert statuses(at_once(*(page.handshake for page in pages))) == [201] * 4

        here = {"portal__domain": portal}
        assert Portal.objects.filter(domain=portal).count() == 1
        assert PortalUser.objects.filter(**here).count() == 1
        assert Installation.objects.filter(**here).count() == 1
        tokens = OAuthToken.objects.filter(installation__portal__domain=portal)
        assert tokens.count() == (1 if same_token else 4)
        assert EmbedSession.objects.filter(oauth_token__in=tokens).count() == 4
        assert AuditEvent.objects.filter(verb="installation.first_seen").count() == Installation.objects.count()
    assert_chain_holds()


def test_revocation_beats_a_launch_with_the_same_token(sandbox: SandboxServer, application: Application) -> None:
    ends = set()
    for number in range(ROUNDS):
        page = frontend(sandbox).open()
        installation = Installation.objects.get()

        def revoke(installation: Installation = installation, number: int = number) -> Any:
            time.sleep(number % 6 / 500)  # let the cut fall before, into and after the call to the portal
            return revoke_tokens(installation_id=installation.pk, actor=factories.superactor(), reason="A test.")

        opened, cut = at_once(page.handshake, revoke)

        assert raised([opened, cut]) == []
        assert cut.tokens_cut == 1
        ends.add(opened.status_code)
        assert opened.status_code in (201, 401)
        assert_no_live_row_holds_a_revoked_token()
        assert page.accounts().json()["error"] == "token_revoked"
        assert page.handshake().json()["error"] == "token_revoked"
    assert_chain_holds()
    assert ends <= {201, 401}


def test_revocation_beats_a_hand_over(sandbox: SandboxServer, application: Application) -> None:
    for number in range(ROUNDS):
        page = frontend(sandbox).open()
        other = frontend(sandbox).open()
        installation = Installation.objects.get()
        if number % 2:  # the pair that another session of the user has, which is cut as well
            page.pair = other.pair
        else:
            page.refresh()

        def revoke(installation: Installation = installation, number: int = number) -> Any:
            time.sleep(number % 6 / 500)
            return revoke_tokens(installation_id=installation.pk, actor=factories.superactor(), reason="A test.")

        handed, cut = at_once(page.hand_over, revoke)

        assert raised([handed, cut]) == []
        assert handed.status_code in (204, 401)
        assert_no_live_row_holds_a_revoked_token()
        assert page.accounts().json()["error"] == "token_revoked"
        assert page.hand_over().json()["error"] == "token_revoked"
        assert not OAuthToken.objects.live().exists()
    assert_chain_holds()


def test_own_revocation_and_hand_over_leave_nothing_behind(sandbox: SandboxServer, application: Application) -> None:
    for _ in range(ROUNDS // 3):
        page = frontend(sandbox).open()
        page.refresh()

        results = at_once(page.hand_over, lambda page=page: page.delete("session/token"))

        assert statuses(results)[1] == 204
        assert_no_live_row_holds_a_revoked_token()
        assert page.accounts().json()["error"] == "token_revoked"
    assert_chain_holds()


def test_uninstallation_beats_launch_and_hand_over(sandbox: SandboxServer, application: Application) -> None:
    for _ in range(ROUNDS // 3):
        page, late = frontend(sandbox).open(), frontend(sandbox)
        old = Installation.objects.live().get()
        page.refresh()

        def uninstall(old: Installation = old) -> Any:
            return uninstall_installation(installation_id=old.pk, actor=factories.superactor(), reason="A test.")

        handed, opened, cut = at_once(page.hand_over, late.handshake, uninstall)

        assert raised([handed, opened, cut]) == []
        assert opened.status_code == 201
        assert handed.status_code in (204, 401)
        assert not OAuthToken.objects.live().filter(installation=old).exists()
        assert Installation.objects.live().count() <= 1
        assert_no_live_row_holds_a_revoked_token()
        assert page.accounts().json()["error"] == "token_revoked"
    generations = list(Installation.objects.order_by("generation").values_list("generation", flat=True))
    assert generations == list(range(1, len(generations) + 1))
    assert_chain_holds()


def test_two_operators_approve_and_withdraw_at_once(application: Application) -> None:
    found = factories.installation(application, approved=["task.read"])
    known = AuditEvent.objects.count()

    def approve(level: str) -> Any:
        return approve_scopes(
            installation_id=found.pk,
            requested=[f"crm.accounts.{level}"],
            actor=factories.superactor(),
            reason="A test.",
        )

    def withdraw() -> Any:
        return withdraw_scopes(
            installation_id=found.pk, codes=["crm.accounts"], actor=factories.superactor(), reason="A test."
        )

    rows = changes = 0
    for _ in range(ROUNDS // 2):
        results = at_once(lambda: approve("read"), lambda: approve("full"), lambda: approve("read"), withdraw, withdraw)
        assert raised(results) == []
        assert all(isinstance(result, StateConflict) for result in results if isinstance(result, DomainError))
        in_force = ApprovedPermission.objects.in_force().filter(installation=found, code="crm.accounts")
        assert in_force.count() <= 1
        done = sum(bool(getattr(result, "approved", ()) or getattr(result, "withdrawn", ())) for result in results)
        changes += done
        rows = AuditEvent.objects.count() - known
        assert rows == changes
    assert rows
    assert ApprovedPermission.objects.in_force().filter(code="task").count() == 1
    assert_chain_holds()


@pytest.mark.parametrize("what", ["portal", "application", "installation", "user"])
def test_after_the_commit_of_a_lock_no_call_starts(sandbox: SandboxServer, application: Application, what: str) -> None:
    pages = [frontend(sandbox).open() for _ in range(3)]
    found = Installation.objects.get()
    approve_scopes(
        installation_id=found.pk, requested=["crm.accounts.full"], actor=factories.superactor(), reason="A test."
    )
    target = {
        "portal": found.portal,
        "application": application,
        "installation": found,
        "user": PortalUser.objects.get(),
    }[what]
    committed, stop = threading.Event(), threading.Event()
    late: list[Any] = []

    def call(page: Frontend) -> int:
        allowed = 0
        while not stop.is_set():
            started_after = committed.is_set()
            response = page.accounts()
            allowed += response.status_code == 200
            if started_after:
                late.append(response.status_code)
        return allowed

    def cut() -> None:
        try:
            time.sleep(0.3)
            lock(target=target, actor=factories.superactor(), reason="A test.")
            committed.set()
            time.sleep(0.3)
        finally:
            stop.set()

    results = at_once(*(lambda page=page: call(page) for page in pages), cut)

    assert raised(results) == []
    assert sum(results[:-1]) > 0
    assert late
    assert set(late) == {403}
    sandbox.state.clear_requests()
    expected = "user_locked" if what == "user" else "installation_locked"
    assert [page.accounts().json()["error"] for page in pages] == [expected] * 3
    assert sandbox.state.requests() == []


def test_ten_active_tokens_of_a_user_hold_under_concurrency(sandbox: SandboxServer, application: Application) -> None:
    pages = [frontend(sandbox) for _ in range(MAX_LIVE_TOKENS + 6)]

    assert statuses(at_once(*(page.handshake for page in pages))) == [201] * len(pages)

    assert OAuthToken.objects.active().count() == MAX_LIVE_TOKENS
    assert OAuthToken.objects.filter(state="stale", sealed_access_token=None).count() == 6
    for page in pages:
        page.refresh()
    assert statuses(at_once(*(page.hand_over for page in pages))) == [204] * len(pages)
    assert OAuthToken.objects.active().count() == MAX_LIVE_TOKENS
    assert_chain_holds()


def test_audit_chain_is_gapless_under_eight_writers(application: Application) -> None:
    found = factories.installation(application)
    targets = [factories.launch(application, user_id=str(number)).portal_user for number in range(100, 106)]
    known = AuditEvent.objects.count()

    def toggle(target: Any) -> int:
        from installations.services import unlock

        return sum(
            verb(target=target, actor=factories.superactor(), reason="A test.")
            for _ in range(10)
            for verb in (lock, unlock)
        )

    results = at_once(*(lambda target=target: toggle(target) for target in (*targets, found.portal, application)))

    assert results == [20] * 8
    assert assert_chain_holds() == known + 160
