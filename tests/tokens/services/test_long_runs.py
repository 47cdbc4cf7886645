"""Revocations that go on in the background: the first batch at once, the others by a job, and stopped by who may."""

from collections.abc import Callable
from typing import Any

import pytest

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import Application, AuditEvent
from tests import factories
from tests.unchanged import last_event, nothing_changes, recorded
from tokens import sweeps
from tokens.models import OAuthToken, Revocation, RevokedFingerprint
from tokens.revocation_selectors import pin_of
from tokens.services import long_runs
from tokens.services.long_runs import cut_in_background, have_go_on, stop_revocation
from tokens.services.revocation import resume_revocation, revoke_tokens
from tokens.targets import RevocationTarget

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "For a test."}
Verb = Callable[..., bool]


@pytest.fixture
def many(application: Application) -> list[OAuthToken]:
    return [stored(application, number) for number in range(7)]


def stored(application: Application, number: int) -> OAuthToken:
    made = factories.launch(application, portal=f"portal{number // 2}.flowlu.com", user_id=str(number))
    return factories.token(made.installation, made.portal_user, f"token-{number}")


def begin(application: Application, **options: Any) -> Revocation:
    target = RevocationTarget.of_application(application.pk)
    result = revoke_tokens(target=target, batch=2, in_background=True, **{**WHY, **options})
    assert result.revocation is not None
    return result.revocation


def now(row: Revocation) -> tuple[str, bool, int]:
    row.refresh_from_db()
    return row.state, row.in_background, row.tokens_cut


def live() -> int:
    return OAuthToken.objects.live().count()


def test_first_batch_is_cut_at_once_and_the_job_cuts_the_rest(
    application: Application, many: list[OAuthToken], responder: Any
) -> None:
    row = begin(application, actor=factories.actor(responder))
    assert (now(row), live()) == (("running", True, 2), 5)
    assert {token.pk for token in OAuthToken.objects.live()} == {token.pk for token in many[2:]}

    assert cut_in_background(batch=2) == 5

    assert (now(row), live()) == (("done", False, 7), 0)
    assert RevokedFingerprint.objects.filter(revocation=row).count() == 7
    events = AuditEvent.objects.filter(verb="tokens.revoked").order_by("sequence")
    assert [event.details["tokens_cut"] for event in events] == [2, 2, 2, 1]
    assert [event.actor_name for event in events] == ["responder", "service", "service", "service"]
    assert {event.reason for event in events} == {"For a test."}
    with nothing_changes():
        assert cut_in_background() == 0


def test_few_are_cut_at_once_and_nothing_is_left_for_the_job(application: Application, many: list[OAuthToken]) -> None:
    target = RevocationTarget.of_application(application.pk)

    result = revoke_tokens(target=target, in_background=True, **WHY)

    assert result.revocation is not None
    assert (now(result.revocation), live()) == (("done", False, 7), 0)


def test_what_was_looked_at_is_compared_before_the_first_batch(
    application: Application, many: list[OAuthToken]
) -> None:
    pin = pin_of(RevocationTarget.of_application(application.pk))
    late = stored(application, 90)
    with nothing_changes(), pytest.raises(StateConflict):
        begin(application, pinned=pin)

    pin = pin_of(RevocationTarget.of_application(application.pk))
    begin(application, pinned=pin)
    later = stored(application, 91)
    cut_in_background()

    assert set(OAuthToken.objects.live()) == {later}
    late.refresh_from_db()
    assert late.state == "revoked"


def test_second_order_of_the_same_is_refused_while_the_first_is_not_finished(
    application: Application, many: list[OAuthToken]
) -> None:
    row = begin(application)

    with nothing_changes(), pytest.raises(StateConflict, match=f"Revocation #{row.pk} of the same is not finished"):
        begin(application)


def test_job_stops_between_batches_when_told_to_and_goes_on_at_its_next_look(
    application: Application, many: list[OAuthToken]
) -> None:
    row = begin(application)
    answers = iter([False, True])

    assert cut_in_background(lambda: next(answers), batch=2) == 2
    assert now(row) == ("running", True, 4)
    assert cut_in_background(batch=2) == 3


def test_look_ends_after_its_time(
    application: Application, many: list[OAuthToken], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = begin(application)
    monkeypatch.setattr(long_runs, "LOOK_SECONDS", 0.0)

    assert cut_in_background(batch=2) == 0
    assert now(row) == ("running", True, 2)


def test_run_that_waited_longest_has_its_turn_first(application: Application, many: list[OAuthToken]) -> None:
    other = factories.application("com.example.other")
    for number in range(3):
        stored(other, 20 + number)
    first, second = begin(other), begin(application)
    answers = iter([False, True, True])

    cut_in_background(lambda: next(answers), batch=1)
    assert (now(first)[2], now(second)[2]) == (3, 2)


def test_run_that_fails_keeps_no_other_from_its_turn_and_fails_the_job(
    application: Application, many: list[OAuthToken]
) -> None:
    other = factories.application("com.example.other")
    for number in range(3):
        stored(other, 20 + number)
    damaged, whole = begin(other), begin(application)
    Revocation.objects.filter(pk=damaged.pk).update(target={"kind": "nothing that is known"})

    with pytest.raises(RuntimeError, match=f"did not go on: \\[{damaged.pk}\\]"):
        cut_in_background()

    assert (now(damaged), now(whole)) == (("running", True, 2), ("done", False, 7))


def test_sweep_cuts_what_is_in_the_background(application: Application, many: list[OAuthToken]) -> None:
    row = begin(application)

    assert sweeps.run_due().done["cut_in_background"] == 5
    assert now(row) == ("done", False, 7)


def test_stopped_run_leaves_the_rest_alone_and_can_be_had_go_on(
    application: Application, many: list[OAuthToken]
) -> None:
    row = begin(application)

    assert stop_revocation(revocation_id=row.pk, **WHY)
    assert now(row) == ("stopped", False, 2)
    event = last_event()
    assert (event.verb, event.target_id, event.details) == (
        "revocation.stopped", str(row.pk), {"tokens_cut": 2, "tokens_expected": 7},
    )  # fmt: skip
    assert (cut_in_background(), live()) == (0, 5)
    with nothing_changes():
        assert not stop_revocation(revocation_id=row.pk, **WHY)

    assert have_go_on(revocation_id=row.pk, **WHY)
    assert (now(row), recorded()[-1]) == (("running", True, 2), "revocation.had_go_on")
    with nothing_changes():
        assert not have_go_on(revocation_id=row.pk, **WHY)
    assert (cut_in_background(), live()) == (5, 0)


def test_command_that_cuts_ends_when_its_run_is_stopped(application: Application, many: list[OAuthToken]) -> None:
    row = begin(application)

    def stop(done: int, _of: int) -> None:
        if done == 4:
            stop_revocation(revocation_id=row.pk, **WHY)

    with pytest.raises(StateConflict, match=f"An operator stopped revocation #{row.pk}: 4 of about 7 were cut."):
        resume_revocation(revocation_id=row.pk, batch=2, on_progress=stop, **WHY)
    with nothing_changes(), pytest.raises(StateConflict, match="An operator stopped revocation"):
        resume_revocation(revocation_id=row.pk, **WHY)
    assert (now(row), live()) == (("stopped", False, 4), 3)


def test_new_order_after_a_stop_cuts_what_was_left_under_a_row_of_its_own(
    application: Application, many: list[OAuthToken]
) -> None:
    row = begin(application)
    stop_revocation(revocation_id=row.pk, **WHY)

    result = revoke_tokens(target=RevocationTarget.of_application(application.pk), **WHY)

    assert (result.tokens_cut, live(), now(row)) == (5, 0, ("stopped", False, 2))
    assert result.revocation != row


def test_run_that_was_interrupted_can_be_had_go_on(application: Application, many: list[OAuthToken]) -> None:
    row = begin(application)
    Revocation.objects.update(in_background=False)
    assert cut_in_background() == 0

    assert have_go_on(revocation_id=row.pk, **WHY)
    assert cut_in_background() == 5


@pytest.mark.parametrize("verb", [have_go_on, stop_revocation])
def test_verbs_refuse_who_may_not_revoke_and_what_is_no_run(
    application: Application, many: list[OAuthToken], reviewer: Any, verb: Verb
) -> None:
    row = begin(application)
    with nothing_changes():
        with pytest.raises(NotPermitted):
            verb(revocation_id=row.pk, actor=factories.actor(reviewer), reason="A test.")
        with pytest.raises(ReasonRequired):
            verb(revocation_id=row.pk, actor=WHY["actor"], reason=" ")
        with pytest.raises(StateConflict, match="There is no such revocation"):
            verb(revocation_id=0, **WHY)
    cut_in_background()
    with nothing_changes(), pytest.raises(StateConflict, match="This revocation is done"):
        verb(revocation_id=row.pk, **WHY)
