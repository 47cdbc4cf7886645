"""API keys and calls of backend code against every cut, and operators who change the same key at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from flowlu_admin.sandbox.server import SandboxServer
from installations.audit_models import AuditHead
from installations.models import AuditEvent
from tests import factories
from tests.held import wait_for_waiting
from tests.security.races.conftest import PORTAL, Page
from tests.security.races.invariants import everything_holds
from tests.security.races.test_cuts import cut_of, order_of, put_back
from tests.security.races.workers import Workers
from tokens.models import ApiKey, Purpose

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]

# The cut, and with what a call as the system, and one as the user, is answered that comes after it.
CUTS: dict[str, tuple[str, str]] = {
    "revoke key": ("no_credential", "ok"),
    "revoke installation": ("ok", "no_credential"),
    "revoke user": ("ok", "no_credential"),
    "uninstall": ("installation_unknown", "installation_unknown"),
    "suspend": ("installation_suspended", "installation_suspended"),
    "lock portal": ("installation_locked", "installation_locked"),
    "lock application": ("installation_locked", "installation_locked"),
    "lock installation": ("installation_locked", "installation_locked"),
    "lock user": ("ok", "user_locked"),
}


@pytest.fixture(autouse=True)
def purposes(transactional_db: Any) -> dict[str, Purpose]:
    return {
        "system": factories.purpose("nightly", acts_as="system"),
        "user": factories.purpose("account-sync", acts_as="user"),
    }


def new_key(page: Page, purposes: dict[str, Purpose]) -> ApiKey:
    """Store a key that works at Flowlu, in place of whatever works now."""
    value = page.sandbox.state.create_api_key(PORTAL)
    return factories.api_key(page.installation, value, purposes=[purposes["system"]])


def call(page: Page, kind: str) -> dict[str, Any]:
    who = {} if kind == "system" else {"user": page.user_id}
    return {"job": "act", "portal": PORTAL, "app_id": page.application.app_id} | who


@pytest.mark.parametrize("kind", ["system", "user"])
@pytest.mark.parametrize("cut", CUTS)
def test_cut_beats_calls_of_backend_code(
    workers: Workers, page: Page, purposes: dict[str, Purpose], cut: str, kind: str
) -> None:
    refusal = CUTS[cut][kind == "user"]

    def race(number: int) -> str:
        page.open()
        key = None
        if kind == "system" and not ApiKey.objects.active().filter(installation=page.installation).exists():
            key = new_key(page, purposes)
        newest = key or ApiKey.objects.order_by("-pk").first() or new_key(page, purposes)
        order = {"job": "revoke_key", "key": newest.pk} if cut == "revoke key" else cut_of(cut, page)
        page.sandbox.state.clear_requests()

        called, was_cut = workers.at_once(call(page, kind), order)

        assert was_cut.refused == ""
        assert called.value in ("ok", refusal), (called.value, workers.seed)
        when = order_of(called, was_cut)
        if when == "before":
            assert called.value == "ok", workers.seed
        if when == "after":
            assert called.value == refusal, workers.seed
            if refusal != "ok":
                assert page.sandbox.state.requests() == []
        [late] = workers.at_once(call(page, kind))
        assert late.value == refusal, workers.seed
        put_back(cut, page)
        if number % 50 == 0:
            everything_holds()
        return "called" if called.value == "ok" else "refused"

    workers.rounds(race, expect=("called", "refused") if refusal != "ok" else ("called",))
    everything_holds()


def test_one_key_is_stored_once_whoever_adds_it(workers: Workers, page: Page, sandbox: SandboxServer) -> None:
    elsewhere = factories.installation(page.application, portal="beta.flowlu.com", approved=["crm.accounts.full"])

    def race(number: int) -> str:
        value = f"an-api-key-that-two-paste-{number}"
        orders = [
            {"job": "add_key", "installation": place, "value": value, "label": "Nightly"}
            for place in (page.installation.pk, elsewhere.pk, page.installation.pk)
        ]

        ended = workers.at_once(*orders)

        assert sorted(one.refused for one in ended) == ["", "state_conflict", "state_conflict"]
        winner = ApiKey.objects.get(pk=next(one.value for one in ended if one.value))
        assert ApiKey.objects.filter(fingerprint=winner.fingerprint).count() == 1
        return "here" if winner.installation_id == page.installation.pk else "elsewhere"

    workers.rounds(race, expect=("here", "elsewhere"))
    everything_holds()


@pytest.mark.parametrize("overlap", [0, 600])
def test_key_is_replaced_once_and_never_after_it_was_revoked(
    workers: Workers, page: Page, purposes: dict[str, Purpose], overlap: int
) -> None:
    def race(number: int) -> str:
        key = factories.api_key(page.installation, f"first-{number}", purposes=[purposes["system"]])
        known = AuditEvent.objects.filter(verb="api_key.replaced").count()
        orders = [{"job": "replace_key", "key": key.pk, "value": f"{who}-{number}", "overlap": overlap} for who in "ab"]

        *replaced, revoked = workers.at_once(*orders, {"job": "revoke_key", "key": key.pk})

        assert {one.refused for one in replaced} <= {"", "state_conflict"}
        successors = [one.value for one in replaced if one.value]
        key.refresh_from_db()
        assert [key.replaced_by_id] == (successors or [None])
        assert (key.state, key.sealed_key) == ("revoked", None)
        assert AuditEvent.objects.filter(verb="api_key.replaced").count() - known == len(successors)
        if not overlap:
            assert bool(successors) is not bool(revoked.value)  # one of them ended the key
            assert key.ending == ("replaced" if successors else "revoked")
        ApiKey.objects.active().filter(pk__in=successors).update(
            state="revoked", sealed_key=None, ending="revoked", revoked_at=timezone.now(), seal_key_id=""
        )
        return "replaced" if successors else "revoked first"

    workers.rounds(race, expect=("replaced", "revoked first"))
    everything_holds()


def test_no_key_is_left_where_the_installation_went_meanwhile(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        page.open()
        here = page.installation.pk

        added, gone, _wiped = workers.at_once(
            {"job": "add_key", "installation": here, "value": f"late-{number}", "label": "Nightly"},
            {"job": "uninstall", "installation": here},
            {"job": "wipe_keys"},
        )

        assert gone.value
        assert added.refused in ("", "state_conflict")
        assert not ApiKey.objects.active().filter(installation=here).exists()
        return "refused" if added.refused else "added and wiped"

    workers.rounds(race, expect=("refused", "added and wiped"))
    everything_holds()


def test_uninstalling_waits_for_a_key_that_is_about_to_be_added(workers: Workers, page: Page) -> None:
    here = page.installation.pk

    with transaction.atomic():
        # Whoever records an event waits here: the key is stored and not committed.
        AuditHead.objects.select_for_update(no_key=True).get()
        workers.begin({"job": "add_key", "installation": here, "value": "late", "label": "Nightly", "after": 0.0})
        wait_for_waiting(1)
        workers.begin({"job": "uninstall", "installation": here, "after": 0.0})
        wait_for_waiting(2)
    added, gone = workers.end()

    assert (added.refused, gone.value) == ("", True)
    assert ApiKey.objects.get(pk=added.value).ending == "uninstalled"
    everything_holds()


def test_expiry_and_revocation_end_a_key_once(workers: Workers, page: Page, purposes: dict[str, Purpose]) -> None:
    def race(number: int) -> str:
        key = factories.api_key(page.installation, f"short-lived-{number}", purposes=[purposes["system"]])
        ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

        first, second, revoked = workers.at_once(
            {"job": "wipe_keys"}, {"job": "wipe_keys"}, {"job": "revoke_key", "key": key.pk}
        )

        key.refresh_from_db()
        assert (key.state, key.sealed_key) == ("revoked", None)
        assert first.value + second.value + revoked.value == 1
        events = AuditEvent.objects.filter(target_kind="apikey", target_id=str(key.pk)).exclude(verb="api_key.added")
        assert [event.verb for event in events] == ["api_key.revoked" if revoked.value else "api_key.expired"]
        assert key.ending == ("revoked" if revoked.value else "expired")
        return key.ending

    workers.rounds(race, expect=("revoked", "expired"))
    everything_holds()
