"""An operator states that an installation which is suspected to be removed is still there."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import Evidence, Installation, Liveness
from installations.services import state_present
from tests import factories
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def suspected(application: Any) -> Installation:
    found = factories.installation(application, approved=["user.me.read"])
    factories.suspect(found)
    assert Liveness.objects.get().state == "suspected_removed"
    return found


def state(installation: Installation, **changes: Any) -> bool:
    values = {"actor": factories.superactor(), "reason": "Their administrator says so."}
    return state_present(installation_id=installation.pk, **(values | changes))


def test_statement_ends_the_suspicion_and_is_recorded(suspected: Installation) -> None:
    assert state(suspected) is True

    row = Liveness.objects.get()
    assert (row.state, row.confidence) == ("quiet", "high")
    assert Evidence.objects.latest("pk").kind == "stated_present"
    event = last_event()
    assert (event.verb, event.target_id, event.reason) == (
        "installation.stated_present",
        str(suspected.pk),
        "Their administrator says so.",
    )
    assert event.details == {"suspected_with_confidence": "medium"}
    suspected.refresh_from_db()
    assert suspected.status == "active"


def test_repeated_or_without_suspicion_it_changes_nothing(suspected: Installation) -> None:
    state(suspected)
    with nothing_changes():
        assert state(suspected) is False


def test_what_is_observed_later_counts_anew(suspected: Installation) -> None:
    state(suspected)
    suspected.evidence.update(observed_at=timezone.now() - timedelta(days=60))
    factories.suspect(suspected)
    assert Liveness.objects.get().state == "suspected_removed"


def test_who_may_not_confirm_a_removal_may_not_deny_one(suspected: Installation, reviewer: Any) -> None:
    with nothing_changes(), pytest.raises(NotPermitted):
        state(suspected, actor=factories.actor(reviewer))


def test_reason_is_required(suspected: Installation) -> None:
    with nothing_changes(), pytest.raises(ReasonRequired):
        state(suspected, reason=" ")


def test_removal_that_was_confirmed_stays_so(suspected: Installation) -> None:
    Installation.objects.update(status="uninstalled", uninstalled_at=timezone.now())
    with nothing_changes(), pytest.raises(StateConflict, match="uninstalled"):
        state(suspected)
