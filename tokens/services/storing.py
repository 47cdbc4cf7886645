"""Private steps that keep a pair: every function here assumes that its caller holds the installation's lock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from installations.models import Application, Installation, PortalUser
from tokens import vault
from tokens.errors import UnsealFailed
from tokens.models import EmbedSession, OAuthToken, RefreshAttempt, ReplacedFingerprint

MAX_LIVE_TOKENS = 10  # per user and installation: ten open tabs or devices, each with a pair of its own


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """A token pair on its way into the vault. Never printed, logged or kept."""

    access_token: str
    refresh_token: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return "<Pair>"


@dataclass(frozen=True, slots=True)
class Stored:
    token: OAuthToken
    is_new: bool = field(default=False)


def store_pair_locked(
    installation: Installation, portal_user: PortalUser, pair: Pair, own: EmbedSession | None = None
) -> Stored:
    """Seal a proven pair and return its row.

    A row that already holds this access token is taken; else the session's own lineage is replaced in place, when no
    other open session lives on it (another session must not gain a token that it never presented); else a new row
    is made. Beyond ten active ones, also by one that comes back, the oldest becomes stale and is wiped.

    Where this service refreshes, a pair has one refresher: what a launch brought is ours with its refresh token; what
    the SDK refreshed and handed over stays the frontend's, so its refresh token is not kept (docs/adr/0016).
    """
    digests = vault.digests_of(pair.access_token)
    mine = OAuthToken.objects.live().filter(installation=installation, portal_user=portal_user)
    row = mine.filter(access_fingerprint__in=digests).select_for_update(no_key=True).first()
    is_new = False
    refresh_token = _refresh_token_to_keep(installation, pair)
    under_way = False
    if installation.application.refreshed_by == Application.RefreshedBy.SERVER:
        refresh_token = _refresh_token_of_ours(row, refresh_token, by_hand_over=own is not None)
        under_way = row is not None and row.refresh_attempts.filter(outcome=RefreshAttempt.Outcome.STARTED).exists()
    if row is None and own is not None and not _others_live_on(own):
        row = own.oauth_token
    if row is None or row.state != OAuthToken.State.ACTIVE:
        make_room_locked(installation, portal_user)
    if row is None:
        row = OAuthToken(installation=installation, portal_user=portal_user, generation=0)
        is_new = True
    held, held_key_id = {row.access_fingerprint, row.refresh_fingerprint}, row.fingerprint_key_id
    if not under_way:  # else the refresh that is under way would take its own result for outdated
        row.generation += 1
    row.state = OAuthToken.State.ACTIVE
    row.stale_at = None
    row.needs_proof = False
    row.stored_at = timezone.now()
    row.expires_at = pair.expires_at
    vault.seal_into(row, pair.access_token, refresh_token)
    row.save()
    remember_replaced_locked(row, held - set(vault.digests_of(pair.access_token, pair.refresh_token)), held_key_id)
    if own is not None and own.oauth_token_id != row.pk:
        left = own.oauth_token
        own.oauth_token = row
        own.save(update_fields=["oauth_token"])
        if not EmbedSession.objects.open().filter(oauth_token=left).exists():
            _retire(left)
    return Stored(row, is_new)


def holds_already(row: OAuthToken, pair: Pair) -> bool:
    """Return whether the row, which is in use, holds this very pair: to store it again would change nothing."""
    return (
        row.state == OAuthToken.State.ACTIVE
        and not row.needs_proof
        and row.access_fingerprint in vault.digests_of(pair.access_token)
        and (pair.refresh_token is None or row.refresh_fingerprint in vault.digests_of(pair.refresh_token))
        and pair.expires_at in (None, row.expires_at)
    )


def remember_replaced_locked(row: OAuthToken, fingerprints: set[str], key_id: str) -> None:
    """Keep what the lineage held until now: Flowlu may still take it, and a revocation denies it too."""
    now = timezone.now()
    known = [
        ReplacedFingerprint(oauth_token=row, fingerprint=digest, fingerprint_key_id=key_id, replaced_at=now)
        for digest in sorted(fingerprints - {""})
    ]
    if not known:
        return
    ReplacedFingerprint.objects.bulk_create(
        known, update_conflicts=True, unique_fields=["oauth_token", "fingerprint"], update_fields=["replaced_at"]
    )
    row.replaced_fingerprints.filter(replaced_at__lt=now - timedelta(days=settings.REPLACED_FINGERPRINT_DAYS)).delete()


def _refresh_token_to_keep(installation: Installation, pair: Pair) -> str | None:
    approved = installation.status == Installation.Status.ACTIVE
    return pair.refresh_token if approved and installation.application.stores_refresh_tokens else None


def _refresh_token_of_ours(row: OAuthToken | None, offered: str | None, *, by_hand_over: bool) -> str | None:
    """Return the refresh token that this service may redeem later: never one that may be spent.

    A page that is loaded again hands in the same access token, often alone: what is kept with it stays.
    """
    if by_hand_over and row is None:
        return None
    if offered is not None and not is_spent(offered):
        return offered
    if row is None or row.sealed_refresh_token is None:
        return None
    try:
        return vault.unseal_refresh_token(str(row.uuid), row.sealed_refresh_token)
    except UnsealFailed:
        return None


def is_spent(refresh_token: str) -> bool:
    """Return whether the refresh token was sent to the token endpoint, so that it may be spent. One statement."""
    sent = RefreshAttempt.objects.exclude(outcome=RefreshAttempt.Outcome.TRANSIENT)
    return sent.filter(refresh_fingerprint__in=vault.digests_of(refresh_token)).exists()


def _others_live_on(session: EmbedSession) -> bool:
    return EmbedSession.objects.open().filter(oauth_token=session.oauth_token_id).exclude(pk=session.pk).exists()


def make_room_locked(installation: Installation, portal_user: PortalUser) -> None:
    """Leave room for one more active pair of the user."""
    active = OAuthToken.objects.active().filter(installation=installation, portal_user=portal_user)
    for row in list(active.order_by("-stored_at", "-pk")[MAX_LIVE_TOKENS - 1 :]):
        _retire(row)


def _retire(row: OAuthToken) -> None:
    """Wipe a pair that is out of use. Its sessions, if any, are told `token_stale` and hand over a fresh one."""
    row.state = OAuthToken.State.STALE
    row.stale_at = timezone.now()
    row.sealed_access_token = row.sealed_refresh_token = None
    row.needs_proof = False
    row.generation += 1
    row.save(
        update_fields=[
            "state",
            "stale_at",
            "sealed_access_token",
            "sealed_refresh_token",
            "needs_proof",
            "generation",
        ]
    )
