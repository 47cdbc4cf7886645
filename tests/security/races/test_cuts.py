"""Every cut against every start of a call: before its commit either may win, after it nothing starts."""

import time
from typing import Any

import pytest
from django.db import transaction

from installations.audit_models import AuditHead
from installations.services import resume_installation, unlock
from tests import factories
from tests.security.races.conftest import Page
from tests.security.races.invariants import everything_holds
from tests.security.races.workers import Ended, Workers, wait_for
from tokens.models import OAuthToken

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}
# The cut, and with what a start that comes after it is answered. None: it may succeed, for it is a new beginning.
_GONE: dict[str, str | None] = {
    "open": None,
    "open again": "token_revoked",
    "hand over": "token_revoked",
    "call": "token_revoked",
}
_SUSPENDED: dict[str, str | None] = dict.fromkeys(_GONE, "installation_suspended")
_LOCKED: dict[str, str | None] = dict.fromkeys(_GONE, "installation_locked")
CUTS: dict[str, dict[str, str | None]] = {
    "revoke installation": _GONE,
    "revoke user": _GONE,
    "revoke token": _GONE,
    "uninstall": _GONE,
    "suspend": _SUSPENDED,
    "lock portal": _LOCKED,
    "lock application": _LOCKED,
    "lock installation": _LOCKED,
    "lock user": dict.fromkeys(_GONE, "user_locked"),
}
STARTS = ("open", "open again", "hand over", "call")


def cut_of(name: str, page: Page) -> dict[str, Any]:
    verb, _, what = name.partition(" ")
    here = page.installation.pk
    if verb == "lock":
        target = {
            "portal": page.installation.portal_id,
            "application": page.application.pk,
            "installation": here,
            "user": page.user.pk,
        }[what]
        return {"job": "lock", "kind": what, "id": target}
    if verb == "revoke":
        narrowed = {"user": {"user": page.user.pk}, "token": {"token": page.token.pk}}.get(what, {})
        return {"job": "revoke", "installation": here} | narrowed
    return {"job": verb, "installation": here}


def start_of(name: str, page: Page) -> dict[str, Any]:
    if name == "call":
        return page.call()
    if name == "open again":
        return page.handshake(page.pair())
    pair = page.another_pair()
    return page.hand_over(pair) if name == "hand over" else page.handshake(pair)


def put_back(name: str, page: Page) -> None:
    if name == "suspend":
        resume_installation(installation_id=page.installation.pk, **WHY)
    elif name.startswith("lock"):
        for target in (page.installation.portal, page.application, page.installation, page.user):
            unlock(target=target, **WHY)


def order_of(start: Ended, cut: Ended) -> str:
    return "before" if start.ended < cut.began else "after" if start.began > cut.ended else "beside"


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("cut", CUTS)
def test_cut_beats_whatever_starts_beside_it(workers: Workers, page: Page, cut: str, start: str) -> None:
    refusal = CUTS[cut][start]

    def race(number: int) -> str:
        page.open()
        here = page.installation
        page.sandbox.state.clear_requests()

        started, was_cut = workers.at_once(start_of(start, page), cut_of(cut, page))

        assert was_cut.refused == ""
        assert was_cut.value
        order = order_of(started, was_cut)
        assert (
            started.status < 300 or started.error == refusal or (refusal is None and started.error == "token_revoked")
        )
        if order == "before":
            assert started.status < 300, (started.value, workers.seed)
        if order == "after" and refusal:
            assert started.error == refusal, (order, workers.seed)
            if start == "call":
                assert page.sandbox.state.requests() == []
        # Whatever it gained beside the cut is worth nothing now.
        known = page.frontend.accounts()
        assert known.status_code in (401, 403), workers.seed
        if started.session:
            page.frontend.session_token = started.session
            gained = page.frontend.accounts()
            if refusal is not None or started.ended < was_cut.began:
                if cut != "revoke token" or start != "open":  # the other tab keeps its own token
                    assert gained.status_code in (401, 403), (order, workers.seed)
            elif cut == "uninstall":
                assert gained.json()["error"] in ("token_revoked", "insufficient_scope")
        if cut.startswith("revoke") or cut == "uninstall":
            gone = OAuthToken.objects.filter(installation=here, state="revoked")
            assert gone.exists()
        put_back(cut, page)
        if number % 50 == 0:
            everything_holds()
        return "started" if started.status < 300 else "refused"

    workers.rounds(race, expect=("started", "refused") if refusal else ("started",))
    everything_holds()


@pytest.mark.parametrize("start", ["open", "open again", "hand over"])
@pytest.mark.parametrize("cut", [*CUTS, "session/token", "session"])
def test_what_is_cut_while_flowlu_is_asked_counts(workers: Workers, page: Page, cut: str, start: str) -> None:
    own = cut.startswith("session")
    orders = start_of(start, page), page.delete(cut) if own else cut_of(cut, page)
    page.sandbox.state.clear_requests()
    page.sandbox.state.add_fault("acme", "delay", delay_seconds=60, path="core/user/get")

    workers.begin(orders[0])
    wait_for(lambda: bool(page.sandbox.state.requests()))  # Flowlu was asked and has not answered
    workers.begin(orders[1])
    was_cut = workers.end_one(1)
    page.sandbox.state.clear_faults()
    [started] = workers.end()

    assert was_cut.refused == ""
    if own:
        of_own = {"hand over": "invalid_session" if cut == "session" else "token_revoked"}
        refusal = of_own.get(start, "token_revoked" if start == "open again" and cut == "session/token" else None)
    else:
        refusal = CUTS[cut][start]
    assert (started.error or None) == refusal
    everything_holds()


@pytest.mark.parametrize("path", ["session/token", "session"])
def test_own_act_and_hand_over_leave_nothing_behind(workers: Workers, page: Page, path: str) -> None:
    def race(number: int) -> str:
        page.open()
        handed, ended = workers.at_once(page.hand_over(page.another_pair()), page.delete(path))

        assert ended.status == 204
        assert handed.status == 204 or handed.error in ("token_revoked", "invalid_session")
        after = page.frontend.accounts().json()["error"]
        assert after == ("invalid_session" if path == "session" else "token_revoked")
        return "handed over first" if handed.status == 204 else "cut first"

    workers.rounds(race, expect=("handed over first", "cut first"))
    everything_holds()


def test_own_revocation_leaves_the_other_tab_alone(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        page.open()
        other = Page(page.sandbox, page.application).open()

        ended, called = workers.at_once(page.delete("session/token"), other.call())

        assert (ended.status, called.status) == (204, 200)
        assert other.frontend.accounts().status_code == 200
        assert other.frontend.delete("session/token").status_code == 204
        return "done"

    workers.rounds(race)
    everything_holds()


def test_refresh_token_is_not_kept_beside_the_end_of_keeping_them(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        workers.at_once({"job": "store_refresh_tokens", "application": page.application.pk, "on": True})
        page.open()
        pair = page.sandbox.state.issue_tokens("acme.flowlu.com", page.user_id)
        sent = {"access_token": pair.access_token, "refresh_token": pair.refresh_token}

        off = {"job": "store_refresh_tokens", "application": page.application.pk, "on": False}
        handed, opened, _off = workers.at_once(page.hand_over(sent), page.handshake(sent), off)

        assert (handed.status, opened.status) == (204, 201)
        assert not OAuthToken.objects.exclude(sealed_refresh_token=None).exists(), workers.seed
        return "done"

    workers.rounds(race)
    everything_holds()


def test_end_of_keeping_refresh_tokens_waits_for_a_hand_over_that_is_about_to_commit(
    workers: Workers, page: Page
) -> None:
    store = {"job": "store_refresh_tokens", "application": page.application.pk}
    workers.at_once(store | {"on": True})
    pair = page.sandbox.state.issue_tokens("acme.flowlu.com", page.user_id)
    sent = {"access_token": pair.access_token, "refresh_token": pair.refresh_token}

    with transaction.atomic():
        # Whoever records an event waits here: the hand-over has stored its pair and has not committed.
        AuditHead.objects.select_for_update(no_key=True).get()
        workers.begin(page.hand_over(sent) | {"after": 0.0}, store | {"on": False, "after": 0.3})
        time.sleep(0.6)
    handed, off = workers.end()

    assert (handed.status, off.value) == (204, True)
    assert not OAuthToken.objects.exclude(sealed_refresh_token=None).exists()
    everything_holds()


@pytest.mark.parametrize("undo", ["unlock", "resume"])
def test_calls_beside_the_end_of_a_cut_are_answered_or_refused(workers: Workers, page: Page, undo: str) -> None:
    def race(number: int) -> str:
        here = page.installation.pk
        if undo == "unlock":
            workers.at_once({"job": "lock", "kind": "installation", "id": here})
            undone: dict[str, Any] = {"job": "unlock", "kind": "installation", "id": here}
        else:
            workers.at_once({"job": "suspend", "installation": here})
            undone = {"job": "resume", "installation": here}

        called, back = workers.at_once(page.call(), undone)

        assert back.value
        assert called.status in (200, 403)
        if order_of(called, back) == "after":
            assert called.status == 200
        assert page.frontend.accounts().status_code == 200
        return "answered" if called.status == 200 else "refused"

    workers.rounds(race, expect=("answered", "refused"))
    everything_holds()
