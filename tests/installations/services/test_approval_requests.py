"""Four eyes: asked for by one operator, confirmed by another, bound to exactly what was asked for."""

import logging
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from installations import approval_requests, editions, services
from installations.approval_requests import (
    approve_alone,
    approve_for_many,
    confirm_request,
    pin_of,
    refuse_request,
    request_approval,
    review_break_glass,
    what_changed,
)
from installations.approving import Seen, in_force_digest
from installations.catalogue import LevelMeaning
from installations.errors import NotPermitted, OwnRequest, ReasonRequired, SecondOperatorNeeded, StateConflict
from installations.four_columns import utc_today
from installations.models import ApprovalRequest, ApprovedPermission, AuditEvent, Installation
from installations.services import approve_scopes, suspend_installation, withdraw_scopes
from tests import catalogues, factories
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.services.revocation import uninstall_installation

pytestmark = pytest.mark.django_db(transaction=True)

SUPER: dict[str, Any] = {"actor": factories.superactor(), "reason": "For a test."}
State = ApprovalRequest.State


@pytest.fixture(autouse=True)
def four_eyes(settings: Any) -> None:
    settings.FOUR_EYES = "on"


@pytest.fixture
def ana(db: None) -> Any:
    return factories.operator("ana", "Reviewer")


@pytest.fixture
def bob(db: None) -> Any:
    return factories.operator("bob", "Reviewer")


@pytest.fixture
def here(db: None) -> Installation:
    return factories.installation(factories.application())


def by(user: Any, reason: str = "It needs the books.") -> dict[str, Any]:
    return {"actor": factories.actor(user), "reason": reason}


def asked(user: Any, installation: Installation, *scopes: str) -> ApprovalRequest:
    wanted = scopes or ("fin.read", "user.me.read")
    return request_approval(installation_id=installation.pk, requested=wanted, **by(user)).request


def in_force(installation: Installation) -> list[str]:
    return sorted(str(row) for row in ApprovedPermission.objects.in_force().filter(installation=installation))


# --- One installation ---


def test_high_risk_is_not_approved_by_one_operator(ana: Any, here: Installation) -> None:
    with nothing_changes(), pytest.raises(SecondOperatorNeeded):
        approve_scopes(installation_id=here.pk, requested=["user.me.read", "fin.read"], **by(ana))

    assert approve_scopes(installation_id=here.pk, requested=["user.me.read"], **by(ana)).approved == ["user.me.read"]


def test_risk_that_the_catalogue_was_edited_to_does_not_spare_the_second_operator(ana: Any, here: Installation) -> None:
    harmless = LevelMeaning("See it.", "low", "It is public.")
    catalogues.edit("fin", read=harmless)

    with nothing_changes(), pytest.raises(SecondOperatorNeeded):
        approve_scopes(installation_id=here.pk, requested=["fin.read"], **by(ana))


def test_one_operator_cannot_name_the_whole_customer_base_something_harmless(ana: Any, here: Installation) -> None:
    catalogues.save(catalogues.entry("garage", "crm/*"))
    factories.application(permissions=["garage.full"], version="2.0.0")

    with nothing_changes(), pytest.raises(SecondOperatorNeeded):
        approve_scopes(installation_id=here.pk, requested=["garage.full"], **by(ana))


def test_risk_that_the_catalogue_was_edited_to_asks_for_a_second_operator(ana: Any, here: Installation) -> None:
    catalogues.edit("task", read=LevelMeaning("See it.", "high", "It is secret."))

    with nothing_changes(), pytest.raises(SecondOperatorNeeded):
        approve_scopes(installation_id=here.pk, requested=["task.read"], **by(ana))


def test_edited_catalogue_makes_a_request_void(ana: Any, bob: Any, here: Installation) -> None:
    request = asked(ana, here, "fin.read")
    catalogues.edit("fin", "fin/invoice")

    with pytest.raises(StateConflict, match="catalogue says something else"):
        confirm_request(request_id=request.pk, **by(bob))

    assert in_force(here) == []


def test_one_operator_approves_where_four_eyes_are_off(settings: Any, ana: Any, here: Installation) -> None:
    settings.FOUR_EYES = "off"

    assert approve_scopes(installation_id=here.pk, requested=["fin.read"], **by(ana)).approved == ["fin.read"]


def test_lowering_needs_no_second_operator(ana: Any, bob: Any, here: Installation) -> None:
    confirm_request(request_id=asked(ana, here, "crm.accounts.full").pk, **by(bob))

    result = approve_scopes(installation_id=here.pk, requested=["crm.accounts.read"], **by(ana))

    assert result.approved == ["crm.accounts.read"]


def test_asking_approves_nothing_and_is_recorded(ana: Any, here: Installation) -> None:
    request = asked(ana, here)

    here.refresh_from_db()
    assert (request.state, request.scopes) == (State.OPEN, ["fin.read", "user.me.read"])
    assert (request.requested_by, request.requested_by_id, request.reason) == (
        "ana",
        str(ana.pk),
        "It needs the books.",
    )
    assert request.expires_at - request.requested_at == timedelta(hours=72)
    assert (here.status, in_force(here)) == ("pending_approval", [])
    event = last_event()
    assert (event.verb, event.target_id, event.installation_id) == ("approval_request.made", str(request.pk), here.pk)
    assert event.details["scopes"] == ["fin.read", "user.me.read"]


def test_second_operator_brings_it_into_force(ana: Any, bob: Any, here: Installation) -> None:
    request = asked(ana, here)

    done = confirm_request(request_id=request.pk, **by(bob, "Read it."))

    assert (done.installations, done.approved, done.activated) == (1, ["fin.read", "user.me.read"], 1)
    row = ApprovedPermission.objects.get(installation=here, code="fin")
    assert (row.approved_by, row.confirmed_by, row.source, row.reason) == (
        "ana",
        "bob",
        "operator",
        "It needs the books.",
    )
    here.refresh_from_db()
    request.refresh_from_db()
    assert here.status == "active"
    assert (request.state, request.decided_by, request.decided_why) == (State.CONFIRMED, "bob", "Read it.")
    assert recorded()[-2:] == ["scopes.approved", "approval_request.confirmed"]
    approved = AuditEvent.objects.order_by("-sequence")[1]
    assert (approved.actor_name, approved.details["request"], approved.details["requested_by"]) == (
        "bob",
        request.pk,
        str(ana.pk),
    )


def test_requester_never_confirms(ana: Any, here: Installation) -> None:
    request = asked(ana, here)

    with nothing_changes(), pytest.raises(OwnRequest):
        confirm_request(request_id=request.pk, **by(ana))


@pytest.mark.parametrize("group", [None, "Auditor", "Responder"])
def test_nobody_without_the_permission_asks_confirms_or_refuses(
    ana: Any, here: Installation, group: str | None
) -> None:
    request = asked(ana, here)
    other = factories.operator("eve", group)

    with nothing_changes():
        with pytest.raises(NotPermitted):
            request_approval(installation_id=here.pk, requested=["fin.read"], **by(other))
        with pytest.raises(NotPermitted):
            confirm_request(request_id=request.pk, **by(other))
        with pytest.raises(NotPermitted):
            refuse_request(request_id=request.pk, **by(other))
        with pytest.raises(NotPermitted):
            approve_for_many(installation_ids=[here.pk], requested=["fin.read"], **by(other))


def test_same_request_is_not_made_twice(ana: Any, bob: Any, here: Installation) -> None:
    first = asked(ana, here)

    with nothing_changes():
        for user in (ana, bob):
            again = request_approval(
                installation_id=here.pk, requested=["user.me.read", "fin.read"], **by(user, "Again.")
            )
            assert (again.request.pk, again.is_new) == (first.pk, False)
    assert asked(ana, here, "fin.read").pk != first.pk


def test_nothing_is_asked_for_that_is_approved_already(ana: Any, bob: Any, here: Installation) -> None:
    confirm_request(request_id=asked(ana, here).pk, **by(bob))

    with nothing_changes(), pytest.raises(StateConflict, match="approved already"):
        asked(ana, here, "fin.read")


def replace_manifest(_here: Installation) -> None:
    factories.application(permissions=[*factories.SCOPES, "users.read"], version="2.0.0")


def uninstall(here: Installation) -> None:
    uninstall_installation(installation_id=here.pk, **SUPER)


def suspend(here: Installation) -> None:
    suspend_installation(installation_id=here.pk, **SUPER)


def approve_another(here: Installation) -> None:
    approve_scopes(installation_id=here.pk, requested=["task.read"], **SUPER)


def withdraw_one(here: Installation) -> None:
    withdraw_scopes(installation_id=here.pk, codes=["user.me"], **SUPER)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace_manifest, "manifest was replaced"),
        (uninstall, "is uninstalled"),
        (suspend, "is suspended now; it was active"),
        (approve_another, "approved or withdrawn since"),
        (withdraw_one, "approved or withdrawn since"),
    ],
)
def test_any_change_makes_it_void(ana: Any, bob: Any, here: Installation, change: Any, words: str) -> None:
    approve_scopes(installation_id=here.pk, requested=["user.me.read"], **by(ana))
    request = asked(ana, here, "fin.read")
    assert what_changed(request) == []
    change(here)

    assert any(words in sentence for sentence in what_changed(request))
    with pytest.raises(StateConflict, match=words):
        confirm_request(request_id=request.pk, **by(bob))

    request.refresh_from_db()
    assert (request.state, "fin.read" in in_force(here)) == (State.VOID, False)
    assert words in request.decided_why
    assert last_event().verb == "approval_request.voided"
    with nothing_changes(), pytest.raises(StateConflict, match="decided already"):
        confirm_request(request_id=request.pk, **by(bob))


def test_scope_that_is_not_asked_for_any_more_makes_it_void(ana: Any, bob: Any, here: Installation) -> None:
    request = asked(ana, here, "fin.read")
    factories.application(permissions=["user.me.read"], version="2.0.0")

    with pytest.raises(StateConflict, match=r"does not ask for fin\.read"):
        confirm_request(request_id=request.pk, **by(bob))


@pytest.mark.parametrize("how", ["inactive", "no staff", "no group", "gone"])
def test_request_of_an_operator_who_may_not_approve_any_more_is_void(
    ana: Any, bob: Any, here: Installation, how: str
) -> None:
    request = asked(ana, here)
    if how == "gone":
        ana.delete()
    else:
        ana.is_active, ana.is_staff = how != "inactive", how != "no staff"
        ana.save()
        if how == "no group":
            ana.groups.clear()

    with pytest.raises(StateConflict, match="may not approve scopes any more"):
        confirm_request(request_id=request.pk, **by(bob))

    assert in_force(here) == []


def test_day_of_review_is_what_the_risk_allows_when_it_is_confirmed(ana: Any, bob: Any, here: Installation) -> None:
    later = utc_today() + timedelta(days=150)
    request = request_approval(installation_id=here.pk, requested=["task.read"], review_by=later, **by(ana)).request
    catalogues.edit("task", read=LevelMeaning("See it.", "high", "It is secret."))

    confirm_request(request_id=request.pk, **by(bob))

    (row,) = here.approved_permissions.in_force()
    assert row.review_by == utc_today() + timedelta(days=90)


def test_request_ends_by_itself(ana: Any, bob: Any, here: Installation) -> None:
    request = asked(ana, here)

    with time_machine.travel(timezone.now() + timedelta(hours=72, seconds=1), tick=False):
        assert not ApprovalRequest.objects.waiting().exists()
        with nothing_changes(), pytest.raises(StateConflict, match="waited too long"):
            confirm_request(request_id=request.pk, **by(bob))
        assert asked(ana, here).pk != request.pk
        assert refuse_request(request_id=request.pk, **by(bob)) == "refused"


@pytest.mark.parametrize(("who", "state"), [("ana", State.TAKEN_BACK), ("bob", State.REFUSED)])
def test_request_is_refused_or_taken_back(ana: Any, bob: Any, here: Installation, who: str, state: str) -> None:
    request = asked(ana, here)
    user = {"ana": ana, "bob": bob}[who]

    assert refuse_request(request_id=request.pk, **by(user, "Not now.")) == state

    request.refresh_from_db()
    assert (request.state, request.decided_by, request.decided_why) == (state, who, "Not now.")
    assert last_event().verb == f"approval_request.{state}"
    for verb in (confirm_request, refuse_request):
        with nothing_changes(), pytest.raises(StateConflict, match="decided already"):
            verb(request_id=request.pk, **by(bob))


def test_unknown_request_and_missing_reason_are_refused(bob: Any, here: Installation) -> None:
    for verb in (confirm_request, refuse_request):
        with nothing_changes(), pytest.raises(StateConflict, match="no such request"):
            verb(request_id=999, **by(bob))
        with nothing_changes(), pytest.raises(ReasonRequired):
            verb(request_id=999, **by(bob, " "))


def test_stale_page_asks_for_nothing(ana: Any, here: Installation) -> None:
    seen = Seen(in_force=in_force_digest([]))
    approve_another(here)

    for verb in (approve_scopes, request_approval, approve_alone):
        with nothing_changes(), pytest.raises(StateConflict, match="Somebody else decided"):
            verb(
                installation_id=here.pk,
                requested=["fin.read"],
                seen=seen,
                actor=factories.superactor(),
                reason="x",
            )


def test_second_submit_of_the_same_choice_changes_nothing(ana: Any, here: Installation) -> None:
    seen = Seen(in_force=in_force_digest([]))
    once = {"installation_id": here.pk, "requested": ["task.read"], "seen": seen, **by(ana)}
    approve_scopes(**once)

    result = approve_scopes(**once)

    assert (result.approved, result.unchanged) == ([], ["task.read"])


# --- Alone ---


def test_superuser_approves_alone_and_it_is_told(here: Installation, caplog: Any) -> None:
    boss = factories.operator("boss", superuser=True)

    with caplog.at_level(logging.CRITICAL, logger=approval_requests.__name__):
        result = approve_alone(installation_id=here.pk, requested=["fin.read"], **by(boss, "The books are on fire."))

    row = ApprovedPermission.objects.get(installation=here)
    request = ApprovalRequest.objects.get()
    assert result.approved == ["fin.read"]
    assert (row.source, row.approved_by, row.confirmed_by) == ("alone", "boss", "")
    assert (request.state, request.requested_by, request.decided_by) == (State.ALONE, "boss", "boss")
    assert recorded()[-2:] == ["scopes.approved", "approval.made_alone"]
    assert "approved by one operator alone" in caplog.text


@pytest.mark.parametrize("alone", [True, False])
def test_part_of_what_was_approved_alone_or_by_two_stays_said_to_be(
    ana: Any, bob: Any, here: Installation, alone: bool
) -> None:
    factories.application(permissions=["fin.full"], version="2.0.0")
    if alone:
        approve_alone(installation_id=here.pk, requested=["fin.full"], **by(factories.operator("boss", superuser=True)))
    else:
        confirm_request(request_id=asked(bob, here, "fin.full").pk, **by(ana))

    approve_scopes(installation_id=here.pk, requested=["fin.read"], **by(ana, "Reading will do."))

    (row,) = here.approved_permissions.in_force()
    stands_for_it = ("alone", "boss", "") if alone else ("operator", "bob", "ana")
    assert str(row) == "fin.read"
    assert (row.source, row.approved_by, row.confirmed_by) == stands_for_it
    assert (row.reviewed_by, row.reviewed_why) == ("ana", "fin.read instead of fin.full: Reading will do.")


def test_more_than_what_was_approved_alone_is_the_decision_of_who_approves_it(
    settings: Any, ana: Any, here: Installation
) -> None:
    factories.application(permissions=["fin.full"], version="2.0.0")
    approve_alone(installation_id=here.pk, requested=["fin.read"], **by(factories.operator("boss", superuser=True)))
    settings.FOUR_EYES = "off"

    approve_scopes(installation_id=here.pk, requested=["fin.full"], **by(ana))

    (row,) = here.approved_permissions.in_force()
    assert (row.source, row.approved_by, row.reviewed_by) == ("operator", "ana", "")


def test_part_that_needs_no_second_operator_is_the_decision_of_who_approves_it(ana: Any, here: Installation) -> None:
    factories.application(permissions=["users.full"], version="2.0.0")
    approve_alone(installation_id=here.pk, requested=["users.full"], **by(factories.operator("boss", superuser=True)))

    approve_scopes(installation_id=here.pk, requested=["users.read"], **by(ana))

    (row,) = here.approved_permissions.in_force()
    assert (row.source, row.approved_by, row.reviewed_by) == ("operator", "ana", "")


def test_break_glass_has_a_permission_of_its_own(ana: Any, here: Installation) -> None:
    with nothing_changes(), pytest.raises(NotPermitted) as refused:
        approve_alone(installation_id=here.pk, requested=["fin.read"], **by(ana))
    assert refused.value.permission == "installations.break_glass"


def test_break_glass_is_not_for_what_needs_no_second_operator(settings: Any, here: Installation) -> None:
    for mode, scope in (("on", "user.me.read"), ("off", "fin.read")):
        settings.FOUR_EYES = mode
        with nothing_changes(), pytest.raises(StateConflict, match="usual way"):
            approve_alone(installation_id=here.pk, requested=[scope], **SUPER)


def test_another_operator_looks_at_what_was_approved_alone(ana: Any, here: Installation) -> None:
    boss = factories.operator("boss", superuser=True)
    approve_alone(installation_id=here.pk, requested=["fin.read"], **by(boss))
    request = ApprovalRequest.objects.get()

    with nothing_changes(), pytest.raises(OwnRequest):
        review_break_glass(request_id=request.pk, **by(boss))
    assert review_break_glass(request_id=request.pk, **by(ana, "It was right."))

    request.refresh_from_db()
    assert (request.reviewed_by, request.reviewed_why) == ("ana", "It was right.")
    assert last_event().verb == "approval.looked_at"
    with nothing_changes():
        assert not review_break_glass(request_id=request.pk, **by(ana))
    eve = factories.operator("eve", "Auditor")
    with nothing_changes(), pytest.raises(NotPermitted):
        review_break_glass(request_id=request.pk, **by(eve))


def test_request_is_no_break_glass_approval(ana: Any, bob: Any, here: Installation) -> None:
    request = asked(ana, here)

    with nothing_changes(), pytest.raises(StateConflict, match="no such break-glass"):
        review_break_glass(request_id=request.pk, **by(bob))


# --- Many ---


@pytest.fixture
def many(here: Installation) -> list[Installation]:
    return [here, *(factories.installation(here.application, portal=f"p{number}.flowlu.com") for number in range(3))]


def pin(installations: list[Installation]) -> str:
    return pin_of(installations, editions.in_force())


def keys(installations: list[Installation]) -> list[int]:
    return [row.pk for row in installations]


def test_many_are_always_asked_for_where_four_eyes_are_on(ana: Any, bob: Any, many: list[Installation]) -> None:
    result = approve_for_many(installation_ids=keys(many), requested=["user.me.read"], pinned=pin(many), **by(ana))

    assert result.asked is not None
    assert [in_force(row) for row in many] == [[]] * 4
    done = confirm_request(request_id=result.asked.request.pk, **by(bob))
    assert (done.installations, done.activated) == (4, 4)
    assert [in_force(row) for row in many] == [["user.me.read"]] * 4
    event = last_event()
    assert (event.verb, event.installation_id, event.details["installations"]) == (
        "approval_request.confirmed",
        None,
        keys(many),
    )


def test_one_that_changed_makes_the_whole_request_void(ana: Any, bob: Any, many: list[Installation]) -> None:
    asked_for = approve_for_many(installation_ids=keys(many), requested=["user.me.read"], **by(ana)).asked
    assert asked_for is not None
    approve_another(many[2])

    with pytest.raises(StateConflict, match=f"Installation #{many[2].pk}: Other scopes"):
        confirm_request(request_id=asked_for.request.pk, **by(bob))

    assert in_force(many[0]) == []


def test_confirmation_says_on_how_many_something_changed(ana: Any, bob: Any, many: list[Installation]) -> None:
    approve_scopes(installation_id=many[0].pk, requested=["user.me.read"], **by(ana))
    request = approve_for_many(installation_ids=keys(many), requested=["user.me.read"], **by(ana)).asked
    assert request is not None

    done = confirm_request(request_id=request.request.pk, **by(bob))

    assert (done.installations, done.unchanged, done.activated) == (3, 1, 3)


def test_many_are_approved_at_once_where_four_eyes_are_off(settings: Any, ana: Any, many: list[Installation]) -> None:
    settings.FOUR_EYES = "off"
    approve_scopes(installation_id=many[0].pk, requested=["fin.read"], **by(ana))

    result = approve_for_many(installation_ids=keys(many), requested=["fin.read"], **by(ana))

    assert (result.asked, result.approved, result.unchanged) == (None, 3, 1)
    assert [in_force(row) for row in many] == [["fin.read"]] * 4
    assert recorded()[-3:] == ["scopes.approved"] * 3
    assert last_event().details["in_bulk"] == 4
    with nothing_changes():
        assert approve_for_many(installation_ids=keys(many), requested=["fin.read"], **by(ana)).unchanged == 4


def edit_the_catalogue(_here: Installation) -> None:
    catalogues.edit("user.me", "core/user/get", "task/task")


@pytest.mark.parametrize("change", [replace_manifest, uninstall, suspend, approve_another, edit_the_catalogue])
def test_what_was_shown_is_what_is_approved(ana: Any, many: list[Installation], change: Any) -> None:
    pinned = pin(many)
    change(many[1])

    with nothing_changes(), pytest.raises(StateConflict):
        approve_for_many(installation_ids=keys(many), requested=["user.me.read"], pinned=pinned, **by(ana))


def test_list_that_is_empty_too_long_mixed_or_gone_is_refused(
    ana: Any, many: list[Installation], monkeypatch: Any
) -> None:
    other = factories.installation(factories.application("com.example.other"))
    uninstall(many[3])
    wrong = {
        "at least one": [],
        "uninstalled": keys(many),
        "several applications": [many[0].pk, other.pk],
        "Look at the list again": [many[0].pk, 9999],
    }
    for words, ids in wrong.items():
        with nothing_changes(), pytest.raises(StateConflict, match=words):
            approve_for_many(installation_ids=ids, requested=["user.me.read"], **by(ana))
    monkeypatch.setattr(approval_requests, "MANY", 2)
    with nothing_changes(), pytest.raises(StateConflict, match="At most 2"):
        approve_for_many(installation_ids=keys(many[:3]), requested=["user.me.read"], **by(ana))


def test_many_cost_no_statement_each_to_look_at(
    ana: Any, many: list[Installation], django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    known = editions.in_force()
    with django_assert_num_queries(1):
        pin_of(many, known)
    request = approve_for_many(installation_ids=keys(many), requested=["user.me.read"], **by(ana)).asked
    assert request is not None
    with django_assert_max_num_queries(10):
        what_changed(ApprovalRequest.objects.get(pk=request.request.pk))


def test_services_refuse_what_an_uninstalled_installation_is_asked_for(ana: Any, here: Installation) -> None:
    uninstall(here)

    for verb in (request_approval, approve_alone, services.approve_scopes):
        with nothing_changes(), pytest.raises(StateConflict, match="uninstalled"):
            verb(installation_id=here.pk, requested=["fin.read"], **SUPER)
