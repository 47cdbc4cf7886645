"""Reviews at once: who decides second about what they saw is told, a withdrawal holds, the trail has it all."""

from datetime import timedelta
from typing import Any

import pytest

from installations.four_columns import utc_today
from installations.models import Application, ApprovedPermission, AuditEvent, Installation
from tests import factories
from tests.installations.admin.console import seen_of
from tests.security.races.invariants import chain_holds
from tests.security.races.workers import Workers

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def found(workers: Workers, application: Application) -> Installation:
    return factories.installation(application, approved=["task.read"])


def anew(found: Installation) -> None:
    """Approve as at the beginning, whatever the round before left."""
    factories.approve(found, "crm.accounts.read")
    factories.approve(found, "crm.accounts.full")


def in_force(found: Installation) -> list[ApprovedPermission]:
    return list(found.approved_permissions.in_force().filter(code="crm.accounts"))


def in_days(days: int) -> str:
    return str(utc_today() + timedelta(days=days))


def test_two_pages_that_keep_the_same_are_one_decision(workers: Workers, found: Installation) -> None:
    def race(number: int) -> str:
        anew(found)
        here: dict[str, Any] = {"job": "decide", "installation": found.pk, "seen": seen_of(found)}
        keeps, lowers = here | {"keep": ["crm.accounts.full"]}, here | {"lower": ["crm.accounts.full"]}
        # Approved today, so to keep it has to change something.
        found.approved_permissions.in_force().update(review_by=utc_today())
        known = AuditEvent.objects.count()

        ended = workers.at_once(keeps, lowers, keeps, lowers)

        assert sorted(one.refused for one in ended) == ["", *["state_conflict"] * 3]
        assert sum(one.value or 0 for one in ended) == 1
        assert AuditEvent.objects.count() == known + 1
        (row,) = in_force(found)
        return f"kept at {row.level}"

    workers.rounds(race, expect=("kept at full", "kept at read"))
    chain_holds()


def test_two_keeps_leave_one_day_and_an_event_for_each(workers: Workers, found: Installation) -> None:
    def race(number: int) -> str:
        anew(found)
        known = AuditEvent.objects.count()
        here = {"job": "keep", "installation": found.pk, "codes": ["crm.accounts"]}

        ended = workers.at_once(here | {"review_by": in_days(10)}, here | {"review_by": in_days(20)})

        assert {one.refused for one in ended} == {""}
        assert sum(one.value for one in ended) == 2
        assert AuditEvent.objects.count() == known + 2
        last = AuditEvent.objects.get(sequence=AuditEvent.objects.count())
        (row,) = in_force(found)
        assert last.details["review_by"] == {"crm.accounts.full": str(row.review_by)}
        return str((row.review_by or utc_today()) - utc_today())

    workers.rounds(race, expect=("10 days, 0:00:00", "20 days, 0:00:00"))
    chain_holds()


def test_keeping_beside_withdrawing_brings_nothing_back(workers: Workers, found: Installation) -> None:
    def race(number: int) -> str:
        anew(found)
        here: dict[str, Any] = {"installation": found.pk, "codes": ["crm.accounts"]}

        keep, lower, withdraw = workers.at_once(
            {"job": "keep", "review_by": in_days(5)} | here,
            {"job": "lower"} | here,
            {"job": "withdraw"} | here,
        )

        assert {one.refused for one in (keep, lower, withdraw)} <= {"", "state_conflict"}
        assert withdraw.value == 1
        assert in_force(found) == []
        return f"{'kept' if keep.value else 'not kept'}, {'lowered' if lower.value else 'not lowered'}"

    workers.rounds(race, expect=("kept, lowered", "kept, not lowered", "not kept, lowered", "not kept, not lowered"))
    assert ApprovedPermission.objects.in_force().filter(code="task").count() == 1
    chain_holds()
