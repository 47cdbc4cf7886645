"""Private steps that keep a pair: every function here assumes that its caller holds the installation's lock."""

from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from installations.models import Installation, PortalUser
from tokens import vault
from tokens.models import EmbedSession, OAuthToken

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
    """
    digests = vault.digests_of(pair.access_token)
    mine = OAuthToken.objects.live().filter(installation=installation, portal_user=portal_user)
    row = mine.filter(access_fingerprint__in=digests).select_for_update().first()
    is_new = False
    if row is None and own is not None and not _others_live_on(own):
        row = own.oauth_token
    if row is None or row.state != OAuthToken.State.ACTIVE:
        _make_room(installation, portal_user)
    if row is None:
        row = OAuthToken(installation=installation, portal_user=portal_user, generation=0)
        is_new = True
    row.generation += 1
    row.state = OAuthToken.State.ACTIVE
    row.stale_at = None
    row.stored_at = timezone.now()
    row.expires_at = pair.expires_at
    vault.seal_into(row, pair.access_token, _refresh_token_to_keep(installation, pair))
    row.save()
    if own is not None and own.oauth_token_id != row.pk:
        left = own.oauth_token
        own.oauth_token = row
        own.save(update_fields=["oauth_token"])
        if not EmbedSession.objects.open().filter(oauth_token=left).exists():
            _retire(left)
    return Stored(row, is_new)


def _refresh_token_to_keep(installation: Installation, pair: Pair) -> str | None:
    approved = installation.status == Installation.Status.ACTIVE
    return pair.refresh_token if approved and installation.application.stores_refresh_tokens else None


def _others_live_on(session: EmbedSession) -> bool:
    return EmbedSession.objects.open().filter(oauth_token=session.oauth_token_id).exclude(pk=session.pk).exists()


def _make_room(installation: Installation, portal_user: PortalUser) -> None:
    active = OAuthToken.objects.active().filter(installation=installation, portal_user=portal_user)
    for row in list(active.order_by("-stored_at", "-pk")[MAX_LIVE_TOKENS - 1 :]):
        _retire(row)


def _retire(row: OAuthToken) -> None:
    """Wipe a pair that is out of use. Its sessions, if any, are told `token_stale` and hand over a fresh one."""
    row.state = OAuthToken.State.STALE
    row.stale_at = timezone.now()
    row.sealed_access_token = row.sealed_refresh_token = None
    row.generation += 1
    row.save(update_fields=["state", "stale_at", "sealed_access_token", "sealed_refresh_token", "generation"])
