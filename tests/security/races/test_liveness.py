"""What is observed, judged, probed and stated at once: one probe, one truth, and an operator's word stays."""

from datetime import timedelta

import pytest
from django.utils import timezone

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Installation, Liveness
from installations.services import approve_scopes
from tests import factories
from tests.held import held, wait_for_waiting
from tests.security.races.conftest import Page
from tests.security.races.invariants import everything_holds
from tests.security.races.workers import Workers
from tokens.models import ServiceCall

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]


def suspected(page: Page) -> Installation:
    page.open()
    here = page.installation
    factories.suspect(here)
    return here


def test_two_sweeps_at_once_make_one_probe(workers: Workers, page: Page, sandbox: SandboxServer) -> None:
    factories.purpose("liveness", scopes=["user.me.read"])
    approve_scopes(
        installation_id=page.installation.pk,
        requested=["user.me.read"],
        actor=factories.superactor(),
        reason="A test.",
    )

    def race(number: int) -> str:
        here = page.installation
        here.tokens.update(expires_at=timezone.now() + timedelta(days=30))
        factories.suspect(here)
        past = timezone.now() - timedelta(hours=2)
        Liveness.objects.update(probe_after=past, probed_at=past)
        ServiceCall.objects.all().delete()

        one, other, third = workers.at_once({"job": "probe"}, {"job": "probe"}, {"job": "probe"})

        assert sorted((one.value, other.value, third.value)) == [0, 0, 1]
        assert ServiceCall.objects.count() == 1
        assert here.evidence.filter(kind="probe_accepted").latest("pk")
        assert Liveness.objects.get().state == "quiet"
        return "one"

    workers.rounds(race)
    everything_holds()


def test_launch_and_calls_beside_a_confirmation_leave_it_confirmed(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        here = suspected(page)

        launch, call, swept, cut = workers.at_once(
            page.handshake(page.another_pair()),
            page.call(),
            {"job": "judge"},
            {"job": "uninstall", "installation": here.pk},
        )

        assert cut.value is True
        assert launch.status in (201, 401)
        assert call.status in (200, 401)
        assert Liveness.objects.get(pk=here.pk).state == "confirmed_removed"
        new = Installation.objects.live().filter(generation=here.generation + 1).first()
        assert new is None or (new.status, new.liveness.state) == ("pending_approval", "seen")
        everything_holds()
        return "began anew" if new else "before the end"

    workers.rounds(race, expect=("began anew", "before the end"))


def test_statement_beside_its_opposite_is_refused_or_overtaken(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        here = suspected(page)

        stated, cut = workers.at_once(
            {"job": "state_present", "installation": here.pk}, {"job": "uninstall", "installation": here.pk}
        )

        assert cut.value is True
        assert Liveness.objects.get(pk=here.pk).state == "confirmed_removed"
        assert stated.value is True or stated.refused == "state_conflict"
        everything_holds()
        return "refused" if stated.refused else "overtaken"

    workers.rounds(race, expect=("refused", "overtaken"))


def test_what_many_observe_at_once_is_judged_together(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        here = suspected(page)

        ended = workers.at_once(
            *(page.call() for _ in range(4)), page.handshake(page.another_pair()), {"job": "judge"}, {"job": "judge"}
        )

        assert {one.status for one in ended[:4]} == {200}
        assert Liveness.objects.get(pk=here.pk).state == "active"
        everything_holds()
        return "active"

    workers.rounds(race)


def test_verdict_takes_in_what_another_one_wrote_while_it_waited(workers: Workers, page: Page) -> None:
    here = suspected(page)
    mine = "SELECT 1 FROM installations_liveness WHERE installation_id = %s FOR NO KEY UPDATE"
    observed = (
        "INSERT INTO installations_evidence (installation_id, kind, integration_point, detail, observed_at)"
        " VALUES (%s, 'call_accepted', '', '', now())"
    )
    with held(mine, here.pk) as other:
        workers.begin(page.handshake(page.another_pair()))
        wait_for_waiting()
        other.execute(observed, [here.pk])
        other.commit()
        [launch] = workers.end()

    assert launch.status == 201
    assert Liveness.objects.get().state == "active"
    everything_holds()
