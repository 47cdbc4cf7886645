"""A bulk revocation killed at each of its points: what was cut stays cut, the ledger counts right, the run goes on."""

from typing import Any

import pytest

from installations.models import Application, AuditEvent
from tests import factories
from tests.security.races.conftest import Page
from tests.security.races.invariants import everything_holds
from tests.security.races.workers import Workers
from tokens.models import OAuthToken, ReplacedFingerprint, Revocation, RevokedFingerprint
from tokens.services.revocation import resume_revocation, revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}
BATCH = 2


def fill(application: Application, round_number: int, count: int = 5) -> list[OAuthToken]:
    """Store tokens of several portals, the first also under another application, and what its lineage held before."""
    rows = []
    for number in range(count):
        name = f"token-{round_number}-{number}"
        record = factories.launch(application, portal=f"portal{number // 2}.flowlu.com", user_id=str(number + 1))
        rows.append(factories.token(record.installation, record.portal_user, name))
    ReplacedFingerprint.objects.create(oauth_token=rows[0], fingerprint=f"{round_number:064x}", fingerprint_key_id="1")
    return rows


def state() -> dict[int, str]:
    return dict(OAuthToken.objects.values_list("pk", "state"))


@pytest.mark.parametrize(("kind", "again"), [("application", "resume"), ("stored before", "same")])
def test_run_that_is_killed_at_any_point_keeps_what_it_cut_and_goes_on(
    workers: Workers, application: Application, kind: str, again: str
) -> None:
    other = factories.application("com.example.other")
    killed = 0
    for point in range(1, 500):
        rows = fill(application, point)
        shared = factories.launch(other, portal="portal0.flowlu.com", user_id="1")
        shared_row = factories.token(shared.installation, shared.portal_user, f"token-{point}-0")
        target = RevocationTarget.of_application(application.pk)
        if kind == "stored before":
            moment = max(row.stored_at for row in rows)
            target = RevocationTarget.stored_before(moment, application_id=application.pk)
            rows = rows[:-1]  # the last one is not before itself
        known = Revocation.objects.count()

        order = {"job": "revoke_killed", "target": target.to_json(), "batch": BATCH, "point": point}
        [ended] = workers.at_once(order)

        died = ended.value == "killed"
        before = state()
        gone = {pk for pk, found in before.items() if found == "revoked"}
        if point % 10 == 0:
            everything_holds()
        if died:
            killed += 1
            running = Revocation.objects.filter(state="running").first()
            if running is not None and again == "resume":
                resume_revocation(revocation_id=running.pk, batch=BATCH, **WHY)
            else:
                revoke_tokens(target=target, batch=BATCH, **WHY)

        after = state()
        assert gone <= {pk for pk, found in after.items() if found == "revoked"}, point
        assert {after[row.pk] for row in [*rows, shared_row]} == {"revoked"}, point
        assert Revocation.objects.count() == known + 1, point
        row = Revocation.objects.latest("pk")
        assert (row.state, row.tokens_cut) == ("done", len(rows) + 1), point
        denied = RevokedFingerprint.objects.filter(revocation=row)
        assert denied.count() == len(rows) + 1, point  # the shared token's is one; the earlier pair's is another
        if not died:
            break
        for left in OAuthToken.objects.live():
            revoke_tokens(target=RevocationTarget.of_token(left.pk), **WHY)
    everything_holds()
    assert not died
    assert killed >= 20


def test_stop_beside_two_that_cut_leaves_the_ledger_right_and_nothing_is_cut_after_it(
    workers: Workers, application: Application
) -> None:
    target = RevocationTarget.of_application(application.pk)

    def race(number: int) -> str:
        rows = fill(application, number, count=7)
        begun = revoke_tokens(target=target, batch=BATCH, in_background=True, **WHY).revocation
        assert begun is not None

        ended = workers.at_once(
            {"job": "cut_in_background", "batch": BATCH},
            {"job": "cut_in_background", "batch": BATCH},
            {"job": "stop_revocation", "number": begun.pk},
        )

        begun.refresh_from_db()
        gone = OAuthToken.objects.filter(revocation=begun, state="revoked").count()
        assert begun.tokens_cut == gone == BATCH + sum(one.value for one in ended[:2])
        # The fingerprint that a lineage had before is denied with the first batch.
        assert RevokedFingerprint.objects.filter(revocation=begun).count() == gone + 1
        assert (begun.state, begun.in_background) == ("done" if gone == len(rows) else "stopped", False)
        verbs = list(AuditEvent.objects.order_by("-sequence").values_list("verb", flat=True)[:1])
        assert verbs == ["revocation.stopped" if begun.state == "stopped" else "tokens.revoked"]
        assert ended[2].refused in ("", "state_conflict")
        revoke_tokens(target=target, **WHY)
        return str(begun.state)

    workers.rounds(race, expect=("done", "stopped"))
    everything_holds()


def test_targets_that_overlap_end_without_waiting_in_a_circle(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        page.open()
        here, user = page.installation, page.user
        targets = [
            RevocationTarget.of_portal(here.portal_id),
            RevocationTarget.of_application(here.application_id),
            RevocationTarget.of_portal_user(user.pk),
            RevocationTarget.of_installation(here.pk),
            RevocationTarget.of_fingerprints([page.token.access_fingerprint]),
        ]
        ended = workers.at_once(
            *({"job": "revoke_target", "target": target.to_json()} for target in targets),
            page.handshake(page.another_pair()),
            page.hand_over(page.another_pair()),
            {"job": "store_refresh_tokens", "application": here.application_id, "on": number % 2 == 0},
        )

        assert {one.refused for one in ended} == {""}
        assert page.frontend.accounts().json()["error"] == "token_revoked"
        workers.at_once({"job": "revoke_target", "target": targets[0].to_json()})
        assert not OAuthToken.objects.live().exists()
        return f"{sum(bool(one.value) for one in ended[:5])} of them cut"

    workers.rounds(race)
    everything_holds()


@pytest.mark.parametrize("kind", ["portal", "application", "user"])
def test_wider_cut_holds_for_whatever_started_before_it(workers: Workers, page: Page, kind: str) -> None:
    def race(number: int) -> str:
        page.open()
        here = page.installation
        target = {
            "portal": RevocationTarget.of_portal(here.portal_id),
            "application": RevocationTarget.of_application(here.application_id),
            "user": RevocationTarget.of_portal_user(page.user.pk),
        }[kind]

        started, cut = workers.at_once(
            page.handshake(page.another_pair()), {"job": "revoke_target", "target": target.to_json()}
        )

        assert (started.status, cut.refused) == (201, "")
        assert page.frontend.accounts().json()["error"] == "token_revoked"
        page.frontend.session_token = started.session
        gained = page.frontend.accounts()
        if started.ended < cut.began:
            assert gained.json()["error"] == "token_revoked", workers.seed
        return "cut" if gained.status_code == 401 else "after it"

    workers.rounds(race, expect=("cut", "after it"))
    everything_holds()
