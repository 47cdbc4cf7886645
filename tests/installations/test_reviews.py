"""The queue of reviews: the database finds what the rules say, in the order of risk, and each line has its evidence."""

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

import pytest
from django.db.models import Q
from django.utils import timezone

from installations import reviewing, reviews
from installations.four_columns import utc_today
from installations.models import Application, ApprovedPermission, Installation, PortalUser, ScopeUsage
from installations.review_rules import Proposal
from installations.reviewing import keep_scopes, lower_scopes, note_use
from installations.reviews import Asked
from installations.services import lock, suspend_installation
from tests import factories
from tokens.services.revocation import uninstall_installation

pytestmark = pytest.mark.django_db(transaction=True)

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "Looked at."}
LONG_AGO = 300


def ago(days: int) -> date:
    return utc_today() - timedelta(days=days)


def at(days: int) -> datetime:
    return datetime.combine(ago(days), time(12), UTC)


def used(installation: Installation, code: str, level: str, days: int, **columns: Any) -> ScopeUsage:
    values = {"accepted": 1, "last_at": at(days), "purpose": ""} | columns
    return ScopeUsage.objects.create(installation=installation, code=code, level=level, day=ago(days), **values)


def counting_began(installation: Installation, days: int = LONG_AGO) -> None:
    used(installation, "some.thing.else", "read", days)


def aged(installation: Installation, days: int, **columns: Any) -> None:
    installation.approved_permissions.update(approved_at=at(days), active_on=ago(days), **columns)


@pytest.fixture
def here(application: Application) -> Installation:
    """An installation with approvals from long ago that are not due, and use counted for as long."""
    found = factories.installation(application, approved=["user.me.read", "crm.accounts.full", "task.read"])
    aged(found, LONG_AGO)
    counting_began(found)
    return found


def queue(asked: Asked = Asked.TO_DECIDE) -> list[str]:
    return [str(row) for part in reviews.queue(ApprovedPermission.objects.all(), asked) for row in part]


def lines(installation: Installation) -> dict[str, reviews.ReviewLine]:
    rows = installation.approved_permissions.in_force().select_related(
        "installation__portal", "installation__application"
    )
    return {str(line.approval): line for line in reviews.lines(list(rows))}


def test_due_and_unused_approvals_are_in_the_queue_by_risk_then_day(here: Installation) -> None:
    used(here, "user.me", "read", 1)
    used(here, "task", "read", 1)
    used(here, "crm.accounts", "full", 1)
    assert queue() == []

    here.approved_permissions.filter(code="user.me").update(review_by=ago(30))
    here.approved_permissions.filter(code="task").update(review_by=ago(0))
    here.approved_permissions.filter(code="crm.accounts").update(review_by=ago(-1))
    assert queue() == ["task.read", "user.me.read"]

    here.approved_permissions.filter(code="crm.accounts").update(review_by=ago(2))
    assert queue() == ["crm.accounts.full", "task.read", "user.me.read"]
    waiting = reviews.reviews_waiting()
    assert (waiting.due, waiting.unused, waiting.oldest) == (3, 0, ago(30))


def test_proposal_closes_itself_with_the_next_call(here: Installation) -> None:
    assert queue() == ["crm.accounts.full", "task.read", "user.me.read"]
    assert [line.proposal for line in lines(here).values()] == [Proposal.WITHDRAW] * 3
    assert reviews.reviews_waiting() == reviews.ReviewsWaiting(due=0, unused=3, oldest=None)

    used(here, "task", "read", 0, accepted=0, denied=1)
    used(here, "crm.accounts", "read", 0)

    assert queue() == ["crm.accounts.full", "user.me.read"]
    assert lines(here)["crm.accounts.full"].proposal is Proposal.LOWER
    used(here, "crm.accounts", "full", 0)
    assert queue() == ["user.me.read"]


def test_probe_of_the_sweep_is_no_use(here: Installation) -> None:
    used(here, "user.me", "read", 0, purpose="liveness")
    used(here, "task", "read", 0, purpose="liveness")
    used(here, "task", "read", 0, purpose="sync", accepted=2)

    assert queue() == ["crm.accounts.full", "user.me.read"]
    assert lines(here)["user.me.read"].proposal is Proposal.WITHDRAW
    assert lines(here)["user.me.read"].evidence == reviews.Evidence()
    assert lines(here)["task.read"].evidence == reviews.Evidence(accepted=2, purposes=("sync",))


@pytest.mark.parametrize("verb", [keep_scopes, lower_scopes])
def test_decision_closes_a_proposal_until_it_is_unused_as_long_again(here: Installation, verb: Any) -> None:
    verb(installation_id=here.pk, codes=["crm.accounts"], **WHY)
    assert "crm.accounts.full" not in queue()
    assert "crm.accounts.read" not in queue()

    here.approved_permissions.in_force().filter(code="crm.accounts").update(reviewed_at=at(100), active_on=ago(100))
    assert any(scope.startswith("crm.accounts") for scope in queue())


@pytest.mark.parametrize("stop", ["suspended", "portal", "application", "installation", "uninstalled"])
def test_nothing_is_proposed_while_it_is_stopped_and_of_what_is_gone_nothing_is_due(
    here: Installation, stop: str
) -> None:
    here.approved_permissions.filter(code="task").update(review_by=ago(0))
    if stop == "suspended":
        suspend_installation(installation_id=here.pk, **WHY)
    elif stop == "uninstalled":
        uninstall_installation(installation_id=here.pk, **WHY)
    else:
        lock(target={"portal": here.portal, "application": here.application}.get(stop, here), **WHY)  # type: ignore[arg-type]  # each can be

    assert queue() == ([] if stop == "uninstalled" else ["task.read"])
    here.refresh_from_db()
    assert {line.proposal for line in lines(here).values()} == {None}


def test_withdrawn_approvals_are_not_in_the_queue(here: Installation) -> None:
    here.approved_permissions.update(withdrawn_at=timezone.now(), withdrawn_why="Over.", review_by=ago(9))

    assert queue() == []
    assert reviews.reviews_waiting() == reviews.ReviewsWaiting(due=0, unused=0, oldest=None)


def test_nothing_is_proposed_before_use_is_counted_for_so_long(here: Installation, settings: Any) -> None:
    settings.UNUSED_DAYS = {"low": 30, "medium": 20, "high": 10}
    ScopeUsage.objects.all().delete()
    assert queue() == []

    counting_began(here, 20)

    assert queue() == ["crm.accounts.full", "task.read"]


def test_overdue_and_proposed_can_be_asked_for_alone(here: Installation) -> None:
    here.approved_permissions.filter(code="task").update(review_by=ago(1))
    here.approved_permissions.filter(code="user.me").update(review_by=ago(0))
    used(here, "task", "read", 0)
    rows = ApprovedPermission.objects

    assert [str(row) for row in rows.filter(reviews.overdue())] == ["task.read"]
    assert {str(row) for row in rows.filter(reviews.due())} == {"task.read", "user.me.read"}
    assert {str(row) for row in rows.filter(reviews.proposed())} == {"user.me.read", "crm.accounts.full"}


def test_noting_the_use_leaves_only_what_may_be_unused_to_look_at(here: Installation) -> None:
    used(here, "user.me", "read", 5)
    used(here, "user.me", "read", 2)
    used(here, "crm.accounts", "read", 1)  # approved at full: it is still proposed to be lowered
    proposals = queue()

    assert note_use(stopped=lambda: True) == 0
    assert note_use() == 1
    assert note_use() == 0

    assert queue() == proposals == ["crm.accounts.full", "task.read"]
    assert {str(row) for row in reviews.perhaps_unused()} == {"crm.accounts.full", "task.read"}
    days = dict(ApprovedPermission.objects.values_list("code", "active_on"))
    assert days == {"user.me": ago(2), "crm.accounts": ago(LONG_AGO), "task": ago(LONG_AGO)}


def test_more_than_a_batch_is_noted(here: Installation, monkeypatch: Any) -> None:
    monkeypatch.setattr(reviewing, "_BATCH", 1)
    for code, level in (("user.me", "read"), ("crm.accounts", "full"), ("task", "read")):
        used(here, code, level, 1)

    assert note_use() == 3


def test_every_approval_is_of_one_risk(here: Installation) -> None:
    row = here.approved_permissions.get(code="task")
    row.pk, row.code, row.level = None, "no.longer.known", "read"
    row.save()
    by_risk = {
        risk: sorted(str(row) for row in ApprovedPermission.objects.filter(reviews.of_risk(risk)))
        for risk in reviews.RISKS
    }

    assert by_risk == {
        "high": ["crm.accounts.full", "no.longer.known.read"],
        "medium": ["task.read"],
        "low": ["user.me.read"],
    }


def test_line_carries_why_it_is_there_and_the_use_of_the_last_month(here: Installation) -> None:
    user = PortalUser.objects.get()
    other = factories.launch(here.application, user_id="8").portal_user
    used(here, "crm.accounts", "read", 0, portal_user=user, accepted=5, denied=1)
    used(here, "crm.accounts", "read", 29, portal_user=other, accepted=2)
    used(here, "crm.accounts", "full", 3, portal_user=user, accepted=1, denied=1)
    used(here, "crm.accounts", "read", 3, purpose="nightly", accepted=7)
    used(here, "crm.accounts", "full", 30, portal_user=user, purpose="long-ago", accepted=100)
    here.approved_permissions.filter(code="crm.accounts").update(review_by=ago(1))

    line = lines(here)["crm.accounts.full"]

    assert line.evidence == reviews.Evidence(accepted=15, denied=2, changed=1, users=2, purposes=("", "nightly"))
    assert (line.is_due, line.is_overdue, line.proposal, line.waits, line.risk) == (True, True, None, True, "high")
    assert (line.life.read_on, line.life.changed_on, line.life.approved_on) == (ago(0), ago(3), ago(LONG_AGO))
    assert line.about.title == "CRM organisations and contacts"
    unused = lines(here)["task.read"]
    assert (unused.is_due, unused.is_overdue, unused.waits) == (False, False, True)
    assert unused.evidence == reviews.Evidence()
    used(here, "task", "read", 0)
    assert lines(here)["task.read"].waits is False


def test_what_nobody_uses_is_counted_to_a_bound(here: Installation, monkeypatch: Any) -> None:
    for most, counted in ((4, 3), (3, 3), (2, 3), (1, 2)):
        monkeypatch.setattr(reviews, "MOST_UNUSED", most)
        assert reviews.reviews_waiting().unused == counted


def test_lines_cost_the_same_whatever_their_number(here: Installation, django_assert_num_queries: Any) -> None:
    for number in range(4):
        more = factories.installation(here.application, portal=f"p{number}.flowlu.com", approved=["fin.read"])
        used(more, "fin", "read", number)
    rows = list(ApprovedPermission.objects.select_related("installation__portal", "installation__application"))

    with django_assert_num_queries(5):
        found = reviews.lines(rows)

    assert len(found) == 7
    with django_assert_num_queries(6):
        reviews.reviews_waiting()


def assert_parts_hold_what_the_conditions_find() -> None:
    """Each approval once, under its risk, as the one statement finds it."""
    rows = reviews.in_review(ApprovedPermission.objects.all())
    conditions = {
        Asked.TO_DECIDE: reviews.waiting(),
        Asked.DUE: reviews.due(),
        Asked.OVERDUE: reviews.overdue(),
        Asked.UNUSED: reviews.proposed(),
        Asked.ALL: Q(),
    }
    for asked, condition in conditions.items():
        parts = reviews.queue(ApprovedPermission.objects.all(), asked)
        assert sorted(row.pk for part in parts for row in part) == sorted(rows.filter(condition).values_list("pk", flat=True))  # fmt: skip  # noqa: E501


def test_what_is_due_comes_before_what_is_unused_and_that_by_how_long(here: Installation, application: Any) -> None:
    rows = here.approved_permissions
    rows.filter(code="task").update(active_on=ago(LONG_AGO + 1))
    more = factories.installation(application, portal="b.flowlu.com", approved=["user.me.read", "task.read"])
    aged(more, LONG_AGO - 1)
    rows.filter(code="user.me").update(review_by=ago(1))
    more.approved_permissions.filter(code="task").update(review_by=ago(2))

    assert queue() == ["crm.accounts.full", "task.read", "task.read", "user.me.read", "user.me.read"]
    found = [row.installation_id for part in reviews.queue(ApprovedPermission.objects.all()) for row in part]
    assert found == [here.pk, more.pk, here.pk, here.pk, more.pk]
    rows.filter(code="task").update(active_on=ago(LONG_AGO - 2))
    more.approved_permissions.filter(code="task").update(review_by=ago(-2))
    found = [row.installation_id for part in reviews.queue(ApprovedPermission.objects.all(), Asked.UNUSED) for row in part]  # fmt: skip  # noqa: E501
    assert found == [here.pk, more.pk, here.pk, here.pk, more.pk]


def test_database_proposes_what_the_rules_propose(application: Application, settings: Any) -> None:
    """The rules are written twice; each random life is judged by both."""
    settings.UNUSED_DAYS = {"low": 12, "medium": 8, "high": 4}
    chance = Random(7)
    scopes = [f"{code}.{level}" for code in ("user.me", "task", "products", "fin") for level in ("read", "full")]
    app = factories.application("com.example.all", permissions=scopes)

    def some_day() -> int:
        return chance.choice([0, 3, 4, 5, 7, 8, 9, 11, 12, 13, 20])

    for number in range(60):
        found = factories.installation(
            app,
            portal=f"p{number}.flowlu.com",
            approved=[f"{code}.{chance.choice(['read', 'full'])}" for code in ("user.me", "task", "products", "fin")],
        )
        for row in found.approved_permissions.all():
            row.approved_at = at(some_day())
            if chance.random() < 0.4:
                row.reviewed_at, row.reviewed_why = at(some_day()), "Kept."
            row.save()
            for level in ("read", "full"):
                if chance.random() < 0.5 and (level == "read" or row.level == "full"):
                    used(found, row.code, level, some_day())
            # What is noted is the day of a decision, the last one or not.
            decided = max(row.approved_at, row.reviewed_at or row.approved_at).date()
            row.active_on = chance.choice([row.approved_at.date(), decided])
            row.save()
        if chance.random() < 0.2:
            suspend_installation(installation_id=found.pk, **WHY)

    for since in (0, 4, 8, 12, 40):
        ScopeUsage.objects.filter(code="some.thing.else").delete()
        ScopeUsage.objects.filter(day__lt=ago(since)).delete()
        counting_began(Installation.objects.latest("pk"), since)
        rows = list(ApprovedPermission.objects.select_related("installation__portal", "installation__application"))
        by_rules = {line.approval.pk for line in reviews.lines(rows) if line.proposal}
        in_database = set(ApprovedPermission.objects.filter(reviews.proposed()).values_list("pk", flat=True))
        assert in_database == by_rules
        assert_parts_hold_what_the_conditions_find()
        note_use()
        assert set(ApprovedPermission.objects.filter(reviews.proposed()).values_list("pk", flat=True)) == by_rules
        assert bool(by_rules) is (since >= 4)
