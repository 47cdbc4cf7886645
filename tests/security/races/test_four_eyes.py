"""Four eyes at once: a request is decided once, and never beside a change that makes it void."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from installations.approval_requests import approve_for_many
from installations.models import Application, ApprovalRequest, ApprovedPermission, AuditEvent, Installation
from tests import factories
from tests.held import held, wait_for_waiting
from tests.security.races.invariants import chain_holds
from tests.security.races.workers import Workers

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def here(application: Application) -> Installation:
    for name in ("ana", "bob", "cleo"):
        factories.operator(name, "Reviewer")
    return factories.installation(application, approved=["task.read"])


def asked(workers: Workers, installation: Installation) -> ApprovalRequest:
    """Take back what an earlier round left, and ask for `fin.read` anew."""
    ApprovedPermission.objects.in_force().filter(code="fin").update(
        withdrawn_at=installation.first_seen_at, withdrawn_why="x"
    )
    (one,) = workers.at_once({"job": "ask", "installation": installation.pk, "scopes": ["fin.read"], "operator": "ana"})
    return ApprovalRequest.objects.get(pk=int(one.value[0]))


def granted(installation: Installation) -> list[ApprovedPermission]:
    return list(ApprovedPermission.objects.in_force().filter(installation=installation, code="fin"))


def test_request_is_decided_once(workers: Workers, here: Installation) -> None:
    def race(number: int) -> str:
        request = asked(workers, here)
        known = AuditEvent.objects.count()

        ended = workers.at_once(
            {"job": "confirm", "request": request.pk, "operator": "bob"},
            {"job": "confirm", "request": request.pk, "operator": "cleo"},
            {"job": "refuse", "request": request.pk, "operator": "bob"},
            {"job": "refuse", "request": request.pk, "operator": "ana"},
        )

        assert [bool(one.refused) for one in ended].count(False) == 1
        request.refresh_from_db()
        rows = granted(here)
        assert [row.confirmed_by for row in rows] == ([request.decided_by] if request.state == "confirmed" else [])
        decided = AuditEvent.objects.filter(sequence__gt=known, verb__startswith="approval_request.")
        assert decided.count() == 1
        return request.state

    workers.rounds(race, expect=("confirmed", "refused", "taken_back"))
    chain_holds()


@pytest.mark.parametrize("verb", ["approve", "withdraw", "suspend", "import_manifest"])
def test_change_comes_before_the_confirmation_or_after_it(workers: Workers, here: Installation, verb: str) -> None:
    undo: dict[str, Any] = {
        "approve": {"job": "withdraw", "installation": here.pk, "codes": ["crm.deals"]},
        "withdraw": {"job": "approve", "installation": here.pk, "scopes": ["task.read"]},
        "suspend": {"job": "resume", "installation": here.pk},
        "import_manifest": {"job": "import_manifest", "document": factories.manifest()},
    }
    change: dict[str, Any] = {
        "approve": {"job": "approve", "installation": here.pk, "scopes": ["crm.deals.read"]},
        "withdraw": {"job": "withdraw", "installation": here.pk, "codes": ["task"]},
        "suspend": {"job": "suspend", "installation": here.pk},
        "import_manifest": {"job": "import_manifest", "document": factories.manifest(version="2.0.0")},
    }

    def race(number: int) -> str:
        request = asked(workers, here)

        changed, confirmed = workers.at_once(
            dict(change[verb]), {"job": "confirm", "request": request.pk, "operator": "bob"}
        )

        request.refresh_from_db()
        assert not changed.refused
        assert request.state == ("void" if confirmed.refused else "confirmed")
        assert len(granted(here)) == (request.state == "confirmed")
        workers.at_once(dict(undo[verb]))
        return request.state

    workers.rounds(race, expect=("confirmed", "void"))
    chain_holds()


def test_confirmation_beside_an_uninstallation_leaves_nothing_to_the_next_generation(
    workers: Workers, application: Application
) -> None:
    for name in ("ana", "bob"):
        factories.operator(name, "Reviewer")

    def race(number: int) -> str:
        found = factories.installation(application)
        request = asked(workers, found)

        gone, _confirmed = workers.at_once(
            {"job": "uninstall", "installation": found.pk},
            {"job": "confirm", "request": request.pk, "operator": "bob"},
        )

        assert gone.value is True
        request.refresh_from_db()
        found.refresh_from_db()
        assert found.status == "uninstalled"
        again = factories.launch(application).installation
        assert not again.approved_permissions.exists()
        return request.state

    workers.rounds(race, expect=("confirmed", "void"))
    chain_holds()


def test_same_request_is_made_once(workers: Workers, here: Installation) -> None:
    def race(number: int) -> str:
        ApprovalRequest.objects.filter(state="open").update(state="void", decided_at=here.first_seen_at)
        order = {"job": "ask", "installation": here.pk, "scopes": ["fin.read"]}

        ended = workers.at_once(*({**order, "operator": name} for name in ("ana", "bob", "cleo")))

        assert [one.value[1] for one in ended].count(True) == 1
        assert len({one.value[0] for one in ended}) == 1
        return ApprovalRequest.objects.get(state="open").requested_by

    workers.rounds(race, expect=("ana", "bob", "cleo"))
    chain_holds()


@pytest.fixture
def keys(here: Installation) -> list[int]:
    """Return the numbers of six installations, which lie in the table the other way round."""
    others = [factories.installation(here.application, portal=f"p{number}.flowlu.com") for number in range(5)]
    found = [here.pk, *(row.pk for row in others)]
    for key in reversed(found):
        Installation.objects.filter(pk=key).update(first_seen_at=timezone.now())
    return found


def test_approvals_for_many_wait_for_each_other(workers: Workers, here: Installation, keys: list[int]) -> None:

    def race(number: int) -> str:
        ApprovedPermission.objects.in_force().update(withdrawn_at=here.first_seen_at, withdrawn_why="x")

        first, second, _one = workers.at_once(
            {"job": "approve_many", "installations": keys, "scopes": ["fin.read"]},
            {"job": "approve_many", "installations": keys[::-1], "scopes": ["fin.read"]},
            {"job": "approve", "installation": keys[3], "scopes": ["task.read"]},
        )

        assert first.value + second.value == len(keys)
        assert ApprovedPermission.objects.in_force().filter(code="fin").count() == len(keys)
        return "first" if first.value else "second"

    workers.rounds(race, expect=("first", "second"))
    chain_holds()


def test_import_waits_for_an_approval_for_many_and_not_in_a_circle(workers: Workers, keys: list[int]) -> None:
    with held("SELECT 1 FROM installations_installation WHERE id = %s FOR NO KEY UPDATE", keys[2]):
        workers.begin({"job": "approve_many", "installations": keys, "scopes": ["fin.read"], "after": 0})
        wait_for_waiting(1)
        workers.begin({"job": "import_manifest", "document": factories.manifest(version="2.0.0"), "after": 0})
        wait_for_waiting(2)
    approved, imported = workers.end()

    assert approved.value == len(keys)
    assert imported.value is True
    chain_holds()


def test_import_comes_before_a_confirmation_for_many_or_after_it(
    workers: Workers, keys: list[int], settings: Any
) -> None:
    settings.FOUR_EYES = "on"

    def race(number: int) -> str:
        ApprovedPermission.objects.in_force().filter(code="fin").delete()
        ana = {"actor": factories.actor(get_user_model().objects.get(username="ana")), "reason": "A test."}
        asked = approve_for_many(installation_ids=keys, requested=["fin.read"], **ana).asked
        assert asked is not None
        request = asked.request

        imported, _confirmed = workers.at_once(
            {"job": "import_manifest", "document": factories.manifest(version=f"2.0.{number}")},
            {"job": "confirm", "request": request.pk, "operator": "bob"},
        )

        assert imported.value is True
        request.refresh_from_db()
        granted = ApprovedPermission.objects.in_force().filter(code="fin").count()
        assert granted == (len(keys) if request.state == "confirmed" else 0)
        assert len({row.manifest_id for row in Installation.objects.all()}) == 1
        return request.state

    workers.rounds(race, expect=("confirmed", "void"))
    chain_holds()
