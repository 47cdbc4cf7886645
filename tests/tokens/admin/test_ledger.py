"""The ledger's list and page: each fact for itself, in plain words."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from installations.models import Application, Installation
from tests import factories
from tests.installations.admin.console import confirm, messages, pin, signed_in, text, url
from tests.unchanged import nothing_changes, recorded
from tokens.models import (
    OAuthToken,
    RefreshAttempt,
    ReplacedFingerprint,
    Revocation,
    SweepRun,
    UpstreamRevocation,
)
from tokens.services.long_runs import stop_revocation
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget


@pytest.fixture
def row(token: OAuthToken) -> Revocation:
    target = RevocationTarget.of_portal(token.installation.portal_id)
    found = revoke_tokens(target=target, actor=factories.superactor(), reason="It was seen in a log.").revocation
    assert found is not None
    return found


def page(user: Any, row: Revocation, **columns: Any) -> str:
    Revocation.objects.filter(pk=row.pk).update(**columns)
    return text(signed_in(user).get(url("tokens_revocation_change", row.pk)))


def test_page_says_each_fact_for_itself(auditor: Any, row: Revocation) -> None:
    shown = page(auditor, row)

    for words in (
        "What was aimed at acme.flowlu.com",
        "1 token was cut (all tokens of one portal).",
        "None yet: no call came since, and nothing was asked after the commit.",
        "Nothing was revoked at Flowlu: it documents no way to, or nothing was stored that it could be told.",
        "Until when they are valid there is unknown: for at least one no expiry was told.",
        "open Ask the portal's administrator to take the access away at Flowlu",
        "Handed in again Never.",
        "Why It was seen in a log.",
    ):
        assert words in shown


def test_proof_is_a_call_or_a_probe_with_its_time_from_the_click(auditor: Any, row: Revocation) -> None:
    assert row.asked_at is not None
    probed = {"probe": "refused", "probed_at": row.asked_at + timedelta(milliseconds=48)}

    shown = page(auditor, row, **probed)
    assert "a probe was refused after 48 ms" in shown
    assert "as a call does: refused, 48 ms after it was confirmed." in shown

    shown = page(auditor, row, first_refused_at=row.asked_at + timedelta(seconds=31.04))
    assert "a call was refused after 31.0 s" in shown
    assert "refused, 48 ms after it was confirmed." in shown

    shown = page(auditor, row, first_refused_at=row.asked_at + timedelta(hours=3), asked_at=None)
    assert "a call was refused" in shown
    assert "after it was confirmed" not in shown


def test_time_of_a_proof_is_in_words_that_fit_it(auditor: Any, row: Revocation) -> None:
    assert row.asked_at is not None
    shown = page(auditor, row, first_refused_at=row.asked_at + timedelta(hours=3))
    assert "a call was refused after 3 hours" in shown


def test_own_revocation_of_a_user_asks_for_no_step_at_flowlu(auditor: Any, row: Revocation) -> None:
    assert "The user revoked their own token." in page(auditor, row, portal_step="not_asked")


def test_row_of_before_the_ledger_named_what_was_aimed_at(auditor: Any, row: Revocation, token: OAuthToken) -> None:
    shown = page(auditor, row, target_label="", installation=token.installation)
    assert "What was aimed at Desk on acme.flowlu.com" in shown
    assert "What was aimed at all tokens of one portal" in page(auditor, row, target_label="", installation=None)


def test_probe_that_was_let_in_comes_first(auditor: Any, row: Revocation) -> None:
    shown = page(auditor, row, probe="let_in", probed_at=timezone.now(), first_refused_at=timezone.now())

    assert "a probe was let in" in shown
    assert "Lock what was aimed at, now, and report it." in shown


def test_run_that_is_not_finished_says_how_to_go_on(auditor: Any, row: Revocation) -> None:
    shown = page(auditor, row, state="running", tokens_expected=40_000, tokens_cut=20_000)

    assert "not finished: 20,000 of 40,000" in shown
    assert f"manage.py revoke_tokens --resume {row.pk}." in shown
    assert "<progress" not in source(auditor, row)


def source(operator: Any, row: Revocation) -> str:
    answer: str = signed_in(operator).get(url("tokens_revocation_change", row.pk)).content.decode()
    return answer


def test_run_in_the_background_shows_how_far_it_is_and_whether_anything_cuts(auditor: Any, row: Revocation) -> None:
    under_way = {"state": "running", "in_background": True, "tokens_expected": 40_000, "tokens_cut": 20_000}
    SweepRun.objects.create(name="cut_in_background", started_at=timezone.now())

    shown = page(auditor, row, **under_way)
    assert "under way: 20,000 of 40,000" in shown
    assert "20,000 of about 40,000 tokens cut. The rest is cut in the background; you can leave this page." in shown
    assert "No periodic job ran" not in shown
    assert '<progress value="20000" max="40000"' in source(auditor, row)
    assert "console/under_way.js" in source(auditor, row)

    SweepRun.objects.update(started_at=timezone.now() - timedelta(minutes=6))
    shown = page(auditor, row, tokens_cut=40_001)
    assert f"manage.py revoke_tokens --resume {row.pk} --operator NAME --reason TEXT" in shown
    assert "No periodic job ran for some minutes, so nothing goes on." in shown
    assert '<progress value="40001" max="40001"' in source(auditor, row)


def test_stopped_run_says_so_and_offers_to_go_on(responder: Any, row: Revocation) -> None:
    assert "Have it go on" not in page(responder, row)

    shown = page(responder, row, state="stopped", tokens_expected=40_000, tokens_cut=20_000)

    assert "stopped: 20,000 of 40,000" in shown
    assert "An operator stopped it; the history says who and why. What is left works." in shown
    assert "Have it go on" in shown
    assert "Stop cutting" not in shown
    assert "Have it go on" not in page(responder, row, state="running", in_background=True)
    assert "Stop cutting" in page(responder, row)


@pytest.mark.parametrize(
    ("act", "before", "after", "words", "again"),
    [
        (
            "stop",
            ("running", True),
            ("stopped", False),
            "Stopped. What is left goes on working.",
            "was stopped already",
        ),
        ("go_on", ("stopped", False), ("running", True), "It goes on in the background.", "goes on already"),
    ],
)
def test_run_is_stopped_and_had_go_on_from_its_page(
    responder: Any, reviewer: Any, row: Revocation, act: str, before: Any, after: Any, words: str, again: str
) -> None:
    Revocation.objects.update(state=before[0], in_background=before[1])
    where = url(f"tokens_revocation_{act}", object_id=row.pk)
    with nothing_changes():
        assert signed_in(reviewer).post(where, {"reason": "A test."}).status_code == 403
    client = signed_in(responder)
    assert client.get(where).status_code == 200

    assert messages(confirm(client, where, {"reason": "A test."}, follow=True)) == [words]

    row.refresh_from_db()
    assert (row.state, row.in_background) == after
    with nothing_changes():
        (told,) = messages(confirm(client, where, {"reason": "A test."}, follow=True))
    assert again in told


def test_run_that_was_stopped_meanwhile_is_not_had_go_on_by_an_older_page(responder: Any, row: Revocation) -> None:
    Revocation.objects.update(state="running")
    client, where = signed_in(responder), url("tokens_revocation_go_on", object_id=row.pk)
    seen = pin(client.get(where))
    stop_revocation(revocation_id=row.pk, actor=factories.superactor(), reason="The wrong target.")

    with nothing_changes():
        page = client.post(where, {"reason": "A test.", **seen})
    assert "The revocation was changed while you were reading it." in text(page)

    answer = confirm(client, where, {"reason": "A test."}, follow=True)
    assert messages(answer) == ["It goes on in the background."]


@pytest.mark.parametrize(("hours", "word"), [(1, "expire"), (-1, "expired")])
def test_expiry_that_a_page_told_is_no_proof_of_anything(auditor: Any, row: Revocation, hours: int, word: str) -> None:
    told = timezone.now() + timedelta(hours=hours)

    shown = alive(page(auditor, row, possibly_alive_until=told))

    assert shown.startswith(f"perhaps By what the page told they {word} at {told:%Y-%m-%d} {told:%H:%M} UTC")
    assert "not checked, and a refresh token may live on." in shown
    assert f"perhaps; told: {told:%Y-%m-%d}" in listed(auditor)


def alive(shown: str) -> str:
    """Return what the page says about tokens that may live at Flowlu."""
    return shown.partition("Possibly alive at Flowlu ")[2].partition(" The portal administrator's step")[0]


def at_flowlu(shown: str) -> str:
    return shown.partition(" At Flowlu ")[2].partition(" Possibly alive at Flowlu")[0]


def listed(user: Any) -> str:
    return text(signed_in(user).get(url("tokens_revocation_changelist")))


def looks(user: Any, row: Revocation) -> str:
    return signed_in(user).get(url("tokens_revocation_change", row.pk)).content.decode()


@pytest.fixture
def told(application: Application) -> Revocation:
    """Two pairs that were stored whole and cut; Flowlu confirmed both. No page told when they expire."""
    Application.objects.update(stores_refresh_tokens=True)
    record = factories.launch(application)
    Installation.objects.update(status="active")
    here = Installation.objects.get()
    for name in ("a", "b"):
        factories.token(here, record.portal_user, f"access-{name}", refresh_token=f"refresh-{name}")
    target = RevocationTarget.of_installation(here.pk)
    found = revoke_tokens(target=target, actor=factories.superactor(), reason="A test.").revocation
    assert found is not None
    confirmed = {"state": "confirmed", "next_try_at": None, "confirmed_at": timezone.now()}
    for cut in OAuthToken.objects.all():
        UpstreamRevocation.objects.create(revocation=found, oauth_token=cut, **confirmed)
    Revocation.objects.update(upstream="confirmed")
    return found


def test_no_longer_is_said_where_flowlu_confirmed_all_of_it(auditor: Any, told: Revocation) -> None:
    shown = page(auditor, told)

    assert at_flowlu(shown) == "2 of 2 told and confirmed"
    assert alive(shown).startswith("no longer Flowlu confirmed it for the access and the refresh token of each")
    assert 'badge-good">no longer<' in looks(auditor, told)
    assert 'badge-good">2 of 2 told and confirmed<' in looks(auditor, told)
    assert "no longer, confirmed" in listed(auditor)


def _replaced() -> None:
    cut = OAuthToken.objects.order_by("pk")[0]
    ReplacedFingerprint.objects.create(oauth_token=cut, fingerprint="0" * 64, fingerprint_key_id="1")


def _attempted(outcome: str, error: str) -> None:
    cut = OAuthToken.objects.order_by("pk")[0]
    values = {"generation": 1, "trigger": "call", "started_at": timezone.now(), "finished_at": timezone.now()}
    RefreshAttempt.objects.create(oauth_token=cut, outcome=outcome, error=error, **values)


_MAY_LIVE: dict[str, tuple[Any, str]] = {
    "one was not told": (
        lambda: UpstreamRevocation.objects.order_by("pk")[0].delete(),
        "unknown Until when they are valid there is unknown",
    ),
    "an earlier pair": (_replaced, "Earlier pairs of them were replaced here; Flowlu was not told about those."),
    "the application keeps no refresh tokens": (
        lambda: Application.objects.update(stores_refresh_tokens=False),
        "Not every refresh token of them was stored here",
    ),
    "a refresh token that never came": (
        lambda: OAuthToken.objects.filter(access_fingerprint=OAuthToken.objects.order_by("pk")[0].access_fingerprint)
        .update(refresh_fingerprint=""),
        "Not every refresh token of them was stored here",
    ),
    "a refresh of unknown outcome": (
        lambda: _attempted("unknown", "timeout"), "Not every refresh token of them was stored here",
    ),
    "a pair that came back": (
        lambda: _attempted("discarded", "revoked"), "unknown A refresh that was under way brought a pair after",
    ),
    "it was not finished": (
        lambda: Revocation.objects.update(state="running"), "unknown Until when they are valid there is unknown",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _MAY_LIVE)
def test_no_longer_is_not_said_where_something_may_live(auditor: Any, told: Revocation, case: str) -> None:
    change, words = _MAY_LIVE[case]
    change()

    shown = alive(page(auditor, told))

    assert words in shown
    assert "no longer" not in shown
    assert 'badge-wait">unknown<' in looks(auditor, told)
    assert "no longer, confirmed" not in listed(auditor)


def test_what_was_no_longer_stored_is_counted_apart(auditor: Any, told: Revocation) -> None:
    UpstreamRevocation.objects.order_by("pk")[0].delete()

    assert at_flowlu(page(auditor, told)) == (
        "1 of 1 told and confirmed The other one was no longer stored, so nothing could be told about it."
    )
    assert 'badge-wait">1 of 1 told and confirmed<' in looks(auditor, told)
    assert at_flowlu(page(auditor, told, tokens_cut=1001)).endswith(
        "The other 1,000 were no longer stored, so nothing could be told about them."
    )


def test_pair_that_came_back_makes_a_told_expiry_unknown(auditor: Any, told: Revocation) -> None:
    _attempted("discarded", "revoked")
    later = timezone.now() + timedelta(hours=1)

    shown = alive(page(auditor, told, possibly_alive_until=later))

    assert shown.startswith("unknown A refresh that was under way brought a pair after the cut.")
    assert "By what the page told" not in shown
    assert "perhaps; told" not in listed(auditor)


def test_cases_that_are_not_confirmed_are_counted(auditor: Any, told: Revocation) -> None:
    case = UpstreamRevocation.objects.order_by("pk")[0]
    UpstreamRevocation.objects.filter(pk=case.pk).update(state="closed", confirmed_at=None, closed_at=timezone.now())

    assert at_flowlu(page(auditor, told, upstream="closed")) == (
        "closed, not confirmed 1 of 2 told and confirmed. An operator closed the case of at least one of them without "
        "Flowlu's confirmation."
    )


def test_handed_in_again_is_counted_on_the_page(auditor: Any, row: Revocation) -> None:
    at = timezone.now()

    assert "3 times, last at" in page(auditor, row, handed_in_again=3, handed_in_again_at=at)


def test_responder_records_the_step_at_the_portal_once(responder: Any, row: Revocation) -> None:
    client, where = signed_in(responder), url("tokens_revocation_portal_step", object_id=row.pk)
    assert "by removing the application from the portal" in text(client.get(where))
    assert "Who did what, and how you know" in text(client.get(where))

    response = client.post(where, {"reason": "Their admin removed it, by mail."}, follow=True)

    row.refresh_from_db()
    assert (row.portal_step, recorded()[-1]) == ("done", "revocation.portal_step_done")
    assert messages(response) == ["Recorded that the portal's administrator took the access away."]
    assert "As responder recorded at" in text(response)
    assert "Their admin removed it, by mail." in text(response)
    with nothing_changes():
        again = client.post(where, {"reason": "Again."}, follow=True)
    assert messages(again) == ["Nothing changed: it was recorded already."]


def test_list_can_show_the_open_steps_only(auditor: Any, row: Revocation) -> None:
    client = signed_in(auditor)
    where = url("tokens_revocation_changelist")

    assert str(row) in text(client.get(where, {"portal_step__exact": "open"}))
    assert str(row) not in text(client.get(where, {"portal_step__exact": "done"}))
    assert client.get(where, {"target__contains": "x"}).status_code == 400
