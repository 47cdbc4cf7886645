"""A worker that is killed at each of its statements and commits: what it did happened whole or not at all, and the next
one does it. test_bulk, test_rewrap and test_refreshes have what goes on in steps."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from installations.models import Evidence, Installation, Liveness, ScopeUsage
from tests import factories
from tests.security.races.conftest import Page
from tests.security.races.invariants import everything_holds
from tests.security.races.test_launches import forget_everybody
from tests.security.races.test_refreshes import everything_unseals
from tests.security.races.workers import ROUNDS, Workers
from tests.unchanged import recorded
from tokens.models import EmbedSession, OAuthToken, SweepRun

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]

ALL = ROUNDS > 100  # `make stress` tries every point
Order = dict[str, Any]


def points(step: int) -> Iterator[int]:
    """Give the first three, which are all of the shortest act, and from there on one of so many."""
    yield from range(1, 4)
    yield from range(4, 2_000, 1 if ALL else step)


def first_launch(page: Page) -> Order:
    forget_everybody()
    return page.handshake(page.another_pair())


def launch(page: Page) -> Order:
    return page.open().handshake(page.another_pair())


def hand_over(page: Page) -> Order:
    return page.open().hand_over(page.another_pair())


def own_revocation(page: Page) -> Order:
    return page.open().delete("session/token")


def end_of_session(page: Page) -> Order:
    return page.open().delete("session")


def uninstallation(page: Page) -> Order:
    return {"job": "uninstall", "installation": page.open().installation.pk}


@pytest.mark.parametrize(
    ("prepared", "done"),
    [
        (first_launch, {201}),
        (launch, {201}),
        (hand_over, {204}),
        (own_revocation, {204, 401}),
        (end_of_session, {204, 401}),
        (uninstallation, {True, False}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_act_that_is_killed_at_any_point_happened_or_did_not(
    workers: Workers, page: Page, prepared: Callable[[Page], Order], done: set[Any]
) -> None:
    killed = 0
    for point in points(5):
        order = prepared(page)

        [ended] = workers.at_once({"job": "killed", "order": order, "point": point})

        assert ended.value in ("killed", "done"), point
        everything_holds()
        everything_unseals()
        if prepared is launch:
            assert recorded().count("token.stored") == OAuthToken.objects.count(), point
        [again] = workers.at_once(order)
        assert (again.status if isinstance(again.value, list) else again.value) in done, point
        if prepared is own_revocation:
            assert OAuthToken.objects.latest("stored_at").state == "revoked"
        if prepared is uninstallation:
            assert not Installation.objects.live().exists()
        if ended.value == "done":
            break
        killed += 1
    everything_holds()
    assert ended.value == "done"
    assert killed >= 2


def what_is_due(page: Page) -> None:
    """Leave rows behind that are old enough to go, a pair of no more use, and a verdict that is not given yet."""
    SweepRun.objects.all().delete()
    page.open()
    long_ago = timezone.now() - timedelta(days=500)
    EmbedSession.objects.update(created_at=long_ago, last_used_at=long_ago, expires_at=long_ago)
    OAuthToken.objects.update(expires_at=long_ago)
    here, scope = page.installation, {"code": "crm.accounts", "level": "read"}
    ScopeUsage.objects.create(
        installation=here, portal_user=page.user, day=long_ago.date(), last_at=long_ago, accepted=1, **scope
    )
    Evidence.objects.create(installation=here, kind="launch", observed_at=long_ago)
    Liveness.objects.update(judge_again_at=long_ago)


def test_sweep_that_is_killed_at_any_point_goes_on(workers: Workers, page: Page) -> None:
    factories.operator("root", superuser=True)
    wiped = killed = 0
    for point in points(31):
        what_is_due(page)
        wiped += 1

        [ended] = workers.at_once({"job": "killed", "order": {"job": "sweep"}, "point": point})

        assert ended.value in ("killed", "done"), point
        everything_holds()
        everything_unseals()
        # As when the lease of what was under way is over.
        SweepRun.objects.all().delete()
        [again] = workers.at_once({"job": "sweep"})
        assert again.value == [], point
        assert not OAuthToken.objects.exclude(sealed_access_token=None).exists(), point
        assert not EmbedSession.objects.exists(), point
        assert not ScopeUsage.objects.exists(), point
        assert not Evidence.objects.filter(observed_at__lt=timezone.now() - timedelta(days=400)).exists(), point
        if ended.value == "done":
            break
        killed += 1
    everything_holds()
    assert recorded().count("tokens.wiped") == wiped  # each pair once
    assert ended.value == "done"
    assert killed >= 5
