"""Keeping, lowering and several decisions at once: dates, what stays as it was, what is refused, what is recorded."""

from datetime import date, timedelta
from typing import Any

import pytest
import time_machine

from installations import catalogue, reviews, selectors
from installations.errors import NotPermitted, ReasonRequired, ReviewDateRefused, StateConflict, UnknownScope
from installations.four_columns import utc_today
from installations.models import Application, ApprovedPermission, Installation
from installations.reviewing import decide_reviews, keep_scopes, lower_scopes
from installations.scopes import Call, granting_scope
from installations.services import approve_scopes, suspend_installation, withdraw_scopes
from tests import factories
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db(transaction=True)

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "Looked at."}
ASKED = ["crm.full", "crm.accounts.full", "crm.deals.full", "fin.full", "task.full", "user.me.read"]


@pytest.fixture
def here(db: None) -> Installation:
    """An installation whose three scopes were approved 80 days ago."""
    app = factories.application(permissions=ASKED)
    with time_machine.travel(_days_ago(80)):
        return factories.installation(app, approved=["crm.accounts.full", "fin.full", "task.read"])


def _days_ago(days: int) -> Any:
    return utc_today() - timedelta(days=days)


def in_days(days: int) -> date:
    return utc_today() + timedelta(days=days)


def row_of(installation: Installation, code: str) -> ApprovedPermission:
    return installation.approved_permissions.in_force().get(code=code)


def in_force(installation: Installation) -> list[str]:
    return sorted(str(row) for row in installation.approved_permissions.in_force())


def test_kept_scope_gets_its_next_review_and_says_who_kept_it(here: Installation, reviewing: Any) -> None:
    before = ApprovedPermission.objects.filter(pk=row_of(here, "crm.accounts").pk).values().get()

    result = keep_scopes(
        installation_id=here.pk, codes=["crm.accounts", "task.read"], actor=reviewing, reason=" In use. "
    )

    row = row_of(here, "crm.accounts")
    after = ApprovedPermission.objects.filter(pk=row.pk).values().get()
    assert {name for name in before if before[name] != after[name]} == {
        "review_by", "active_on", "reviewed_at", "reviewed_by", "reviewed_why",
    }  # fmt: skip
    assert (row.review_by, row.reviewed_by, row.reviewed_why) == (in_days(90), "reviewer", "In use.")
    assert result.kept == {"crm.accounts.full": in_days(90), "task.read": in_days(180)}
    assert (result.lowered, result.withdrawn, result.unchanged) == ({}, (), [])


def test_keeping_is_recorded(here: Installation, reviewing: Any) -> None:
    was = row_of(here, "crm.accounts").review_by

    keep_scopes(installation_id=here.pk, codes=["crm.accounts.full"], actor=reviewing, reason="In use.")

    event = last_event()
    assert recorded().count("scopes.kept") == 1
    assert (event.verb, event.target_kind, event.target_id) == ("scopes.kept", "installation", str(here.pk))
    assert (event.installation_id, event.reason, event.actor_name) == (here.pk, "In use.", "reviewer")
    assert event.details == {
        "kept": ["crm.accounts.full"],
        "review_by": {"crm.accounts.full": in_days(90).isoformat()},
        "review_by_before": {"crm.accounts.full": str(was)},
    }


def test_keeping_again_on_the_same_day_changes_nothing(here: Installation) -> None:
    keep_scopes(installation_id=here.pk, codes=["fin"], **WHY)

    with nothing_changes():
        result = keep_scopes(installation_id=here.pk, codes=["fin"], actor=WHY["actor"], reason="Once more.")

    assert (result.kept, result.unchanged) == ({}, ["fin.full"])


def test_keeping_what_was_approved_today_changes_nothing(application: Application) -> None:
    found = factories.installation(application, approved=["task.read"])

    with nothing_changes():
        assert keep_scopes(installation_id=found.pk, codes=["task"], **WHY).unchanged == ["task.read"]


def test_keeping_counts_also_where_the_day_stays_the_same(here: Installation) -> None:
    """The settings may have changed: the decision is what ends a proposal, not another day."""
    here.approved_permissions.update(review_by=in_days(90))

    assert keep_scopes(installation_id=here.pk, codes=["fin"], **WHY).kept == {"fin.full": in_days(90)}
    assert row_of(here, "fin").reviewed_by == "shell"


def test_earlier_review_may_be_chosen_and_a_later_one_may_not(here: Installation) -> None:
    with nothing_changes():
        for chosen, words in (
            (in_days(91), "crm.accounts.full is of high risk, so it is reviewed by"),
            (utc_today(), "is not after today"),
            (in_days(-5), "is not after today"),
        ):
            with pytest.raises(ReviewDateRefused, match=words):
                keep_scopes(installation_id=here.pk, codes=["task", "crm.accounts"], review_by=chosen, **WHY)

    keep_scopes(installation_id=here.pk, codes=["task", "crm.accounts"], review_by=in_days(90), **WHY)
    assert row_of(here, "task").review_by == row_of(here, "crm.accounts").review_by == in_days(90)
    keep_scopes(installation_id=here.pk, codes=["task"], review_by=in_days(1), **WHY)
    assert row_of(here, "task").review_by == in_days(1)


def test_keeping_approves_no_changed_entry_of_the_catalogue(here: Installation) -> None:
    row = row_of(here, "fin")
    row.catalogue_entry = {"catalogue": "older", "covers": []}
    row.save()

    keep_scopes(installation_id=here.pk, codes=["fin"], **WHY)

    assert row_of(here, "fin").as_approval().covers == ()


def test_keeping_and_lowering_decide_about_no_manifest(here: Installation) -> None:
    decided = here.decided_manifest
    factories.application(permissions=["crm.accounts.full", "products.full"], version="2.0.0")

    keep_scopes(installation_id=here.pk, codes=["task"], **WHY)
    lower_scopes(installation_id=here.pk, codes=["crm.accounts"], **WHY)

    found = selectors.installations_with_approvals().get(pk=here.pk)
    assert found.decided_manifest == decided
    assert [change.code for change in selectors.asked_anew(found)] == ["products"]
    assert row_of(here, "crm.accounts").manifest == decided


def test_lowered_scope_is_a_part_of_what_was_approved(here: Installation, reviewing: Any) -> None:
    old = row_of(here, "crm.accounts")
    old.catalogue_entry = {"catalogue": "older", "covers": []}
    old.save()

    result = lower_scopes(installation_id=here.pk, codes=["crm.accounts"], actor=reviewing, reason="Only read.")

    new = row_of(here, "crm.accounts")
    old.refresh_from_db()
    assert (old.withdrawn_by, old.withdrawn_why) == ("reviewer", "Lowered to crm.accounts.read: Only read.")
    same = ("code", "catalogue_entry", "source", "manifest", "approved_by", "approved_at", "reason")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.level, new.review_by, new.reviewed_by) == ("read", in_days(180), "reviewer")
    assert new.reviewed_why == "Lowered from crm.accounts.full: Only read."
    assert result.lowered == {"crm.accounts.full": in_days(180)}
    event = last_event()
    assert (event.verb, event.reason, event.installation_id) == ("scopes.lowered", "Only read.", here.pk)
    assert event.details["lowered"] == ["crm.accounts.full"]
    assert event.details["review_by"] == {"crm.accounts.full": in_days(180).isoformat()}


def test_lowering_works_where_the_scope_is_not_asked_for_any_more(here: Installation) -> None:
    factories.application(permissions=["task.read"], version="2.0.0")

    lower_scopes(installation_id=here.pk, codes=["fin.full"], **WHY)

    assert in_force(here) == ["crm.accounts.full", "fin.read", "task.read"]


def test_lowering_what_is_at_read_changes_nothing(here: Installation) -> None:
    with nothing_changes():
        result = lower_scopes(installation_id=here.pk, codes=["task"], **WHY)

    assert (result.lowered, result.unchanged) == ({}, ["task.read"])


def test_lowering_a_swallowing_scope_wakes_nothing(db: None) -> None:
    found = factories.installation(factories.application(permissions=ASKED), approved=["crm.full", "crm.accounts.full"])
    write = Call("crm", "account", "create")

    lower_scopes(installation_id=found.pk, codes=["crm"], **WHY)

    approvals = [row.as_approval() for row in found.approved_permissions.in_force()]
    assert in_force(found) == ["crm.accounts.full", "crm.read"]
    assert granting_scope(approvals, catalogue.load(), write) is None


def test_lowering_needs_only_the_right_to_withdraw_and_keeping_the_one_to_approve(
    here: Installation, outsider: Any
) -> None:
    for held, refused in (("withdraw_scopes", keep_scopes), ("approve_scopes", lower_scopes)):
        user = _with_only(held)
        with nothing_changes(), pytest.raises(NotPermitted):
            refused(installation_id=here.pk, codes=["fin"], actor=factories.actor(user), reason="x")
    withdrawing = factories.actor(_with_only("withdraw_scopes", "second"))
    approving = factories.actor(_with_only("approve_scopes", "third"))

    lower_scopes(installation_id=here.pk, codes=["fin"], actor=withdrawing, reason="Only read.")
    keep_scopes(installation_id=here.pk, codes=["fin"], review_by=in_days(2), actor=approving, reason="In use.")

    assert row_of(here, "fin").review_by == in_days(2)
    with nothing_changes(), pytest.raises(NotPermitted):
        decide_reviews(installation_id=here.pk, keep=["fin"], withdraw=["task"], actor=withdrawing, reason="x")
    with nothing_changes(), pytest.raises(NotPermitted):
        decide_reviews(installation_id=here.pk, keep=["fin"], withdraw=["task"], actor=approving, reason="x")


def _with_only(permission: str, name: str = "") -> Any:
    from django.contrib.auth.models import Permission

    user = factories.operator(name or f"only-{permission}")
    user.user_permissions.add(Permission.objects.get(codename=permission))
    return user


def test_several_decisions_are_one_act(here: Installation) -> None:
    result = decide_reviews(
        installation_id=here.pk, keep=["task.read"], lower=["crm.accounts.full"], withdraw=["fin.full"], **WHY
    )

    assert in_force(here) == ["crm.accounts.read", "task.read"]
    assert recorded()[-3:] == ["scopes.kept", "scopes.lowered", "scopes.withdrawn"]
    assert result.kept == {"task.read": in_days(180)}
    assert result.lowered == {"crm.accounts.full": in_days(180)}
    assert (result.withdrawn, result.also_withdrawn, result.unchanged) == (["fin.full"], [], [])


def test_withdrawing_takes_what_was_swallowed_with_it(db: None) -> None:
    found = factories.installation(factories.application(permissions=ASKED), approved=["crm.read", "crm.deals.full"])

    result = decide_reviews(installation_id=found.pk, withdraw=["crm"], **WHY)

    assert result.also_withdrawn == ["crm.deals.full"]
    assert in_force(found) == []


@pytest.mark.parametrize("decision", ["keep", "lower"])
def test_what_was_swallowed_is_not_kept_or_lowered_into_force(db: None, decision: str) -> None:
    found = factories.installation(factories.application(permissions=ASKED), approved=["crm.read", "crm.deals.full"])
    also: Any = {decision: ["crm.deals"]}

    with nothing_changes(), pytest.raises(StateConflict, match="crm.deals has no effect beside crm"):
        decide_reviews(installation_id=found.pk, withdraw=["crm"], **also, **WHY)


@pytest.mark.parametrize("meanwhile", ["kept", "lowered", "withdrawn", "withdrawn and approved again"])
def test_decision_about_what_somebody_else_decided_meanwhile_is_refused_whole(
    here: Installation, meanwhile: str
) -> None:
    seen = {row.code: reviews.seen_as(row) for row in here.approved_permissions.in_force()}
    other: dict[str, Any] = {"installation_id": here.pk, "actor": factories.superactor(), "reason": "First."}
    if meanwhile == "kept":
        keep_scopes(codes=["crm.accounts"], **other)
    elif meanwhile == "lowered":
        lower_scopes(codes=["crm.accounts"], **other)
    else:
        withdraw_scopes(codes=["crm.accounts"], **other)
    if meanwhile.endswith("again"):
        approve_scopes(requested=["crm.accounts.full"], **other)
    words = {
        "kept": "Decided about while you were reading it: crm.accounts.full, by shell",
        "lowered": "Approved at another level: crm.accounts.read",
        "withdrawn": "Not approved at present: crm.accounts",
        "withdrawn and approved again": "Decided about while you were reading it: crm.accounts.full, by shell",
    }

    for decision in ("keep", "withdraw"):
        chosen: Any = {decision: ["crm.accounts.full"], "lower": ["fin.full"]}
        with nothing_changes(), pytest.raises(StateConflict, match=words[meanwhile]):
            decide_reviews(installation_id=here.pk, seen=seen, **chosen, **WHY)
    # What nobody touched is decided as it was seen.
    assert decide_reviews(installation_id=here.pk, seen=seen, lower=["fin.full"], **WHY).lowered


def test_suspended_and_locked_installations_can_be_reviewed(here: Installation) -> None:
    suspend_installation(installation_id=here.pk, **WHY)

    assert keep_scopes(installation_id=here.pk, codes=["task"], **WHY).kept


def test_every_refusal_changes_nothing(here: Installation, uninstalled: Installation) -> None:
    with nothing_changes():
        for codes, error in (
            ([], StateConflict),
            (["users"], StateConflict),
            (["crm.accounts.read"], StateConflict),
            (["not a scope"], UnknownScope),
        ):
            for verb in (keep_scopes, lower_scopes):
                with pytest.raises(error):
                    verb(installation_id=here.pk, codes=codes, **WHY)
        with pytest.raises(StateConflict, match="Named more than once: task"):
            decide_reviews(installation_id=here.pk, keep=["task"], withdraw=["task.read"], **WHY)
        with pytest.raises(ReasonRequired):
            keep_scopes(installation_id=here.pk, codes=["task"], actor=factories.superactor(), reason=" ")
        with pytest.raises(StateConflict, match="uninstalled"):
            keep_scopes(installation_id=uninstalled.pk, codes=["task"], **WHY)
        with pytest.raises(StateConflict, match="no such installation"):
            lower_scopes(installation_id=9999, codes=["task"], **WHY)


def test_who_may_not_changes_nothing(here: Installation, unpermitted: Any) -> None:
    for chosen in ({"keep": ["task"]}, {"lower": ["fin"]}, {"withdraw": ["fin"]}, {}):
        with nothing_changes(), pytest.raises(NotPermitted):
            decide_reviews(installation_id=here.pk, actor=unpermitted, reason="An attempt.", **chosen)  # type: ignore[arg-type]  # codes
