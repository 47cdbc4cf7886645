"""What must hold whenever nothing is under way, however the acts before it met."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection
from django.db.models import Count, F
from django.utils import timezone

from installations import evidence
from installations.keys import parse_key_ring
from installations.liveness import State
from installations.models import Installation
from installations.trail.verifying import DatabaseVerification
from tokens.models import ApiKey, OAuthToken, RevokedFingerprint
from tokens.services.storing import MAX_LIVE_TOKENS


def everything_holds() -> None:
    """One live installation a pair, consecutive generations, ten tokens a user, revoked ones wiped and nowhere live.

    And of API keys: none in use where the installation is gone, those that ended wiped. Verdicts are of the evidence.
    """
    chain_holds()
    verdicts_hold()
    assert not ApiKey.objects.active().filter(installation__status="uninstalled").exists()
    assert not ApiKey.objects.filter(state="revoked").exclude(sealed_key=None).exists()
    places = Installation.objects.values("portal", "application")
    for place in places.annotate(rows=Count("pk")):
        here = Installation.objects.filter(portal=place["portal"], application=place["application"])
        assert list(here.order_by("generation").values_list("generation", flat=True)) == list(
            range(1, place["rows"] + 1)
        )
        assert here.exclude(status="uninstalled").count() <= 1
    crowded = OAuthToken.objects.active().values("installation", "portal_user").annotate(rows=Count("pk"))
    assert not crowded.filter(rows__gt=MAX_LIVE_TOKENS).exists()
    assert not OAuthToken.objects.live().filter(installation__status="uninstalled").exists()
    revoked = RevokedFingerprint.objects.values("fingerprint")
    live = OAuthToken.objects.live()
    assert not live.filter(access_fingerprint__in=revoked).exists()
    assert not live.exclude(refresh_fingerprint="").filter(refresh_fingerprint__in=revoked).exists()
    cut = OAuthToken.objects.filter(state="revoked")
    assert not cut.exclude(sealed_access_token=None, sealed_refresh_token=None).exists()
    assert cut.filter(revocation__tokens_cut__gt=0).count() == cut.count()
    ledger = OAuthToken.objects.filter(state="revoked").values("revocation").annotate(rows=Count("pk"))
    assert not ledger.exclude(rows=F("revocation__tokens_cut")).exists()


def verdicts_hold() -> None:
    """See that each kept verdict is what the evidence says now, as far as its time has not come."""
    now = timezone.now()
    observed = evidence.observations_of(list(Installation.objects.values_list("pk", flat=True)))
    for here in Installation.objects.select_related("liveness"):
        verdict = evidence.verdict_on(observed.get(here.pk, ()), now=now)
        assert (here.status == "uninstalled") is (verdict.state is State.CONFIRMED)
        if here.liveness.judge_again_at is None or here.liveness.judge_again_at > now:
            assert (here.liveness.state, here.liveness.confidence) == (verdict.state, verdict.confidence)


def chain_holds() -> int:
    """Verify the whole trail; return how many events there are."""
    checked = DatabaseVerification(parse_key_ring(settings.AUDIT_KEY))
    assert [str(finding) for finding in checked] == []
    return checked.events


@contextmanager
def no_deadlocks() -> Iterator[None]:
    before = _deadlocks()
    yield
    assert _deadlocks() == before, "PostgreSQL had to end a deadlock"


def _deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        row = cursor.fetchone()
        return int(row[0])
