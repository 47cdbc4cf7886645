"""Private steps of every revocation: lock what is aimed at, cut, deny, write the ledger. All of them set-based.

Whoever calls them has a transaction open and appends the audit events of the steps last.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from installations import audit
from installations.actors import Actor
from installations.models import Application, Installation, Portal, PortalUser
from tokens import vault
from tokens.models import OAuthToken, ReplacedFingerprint, Revocation, RevokedFingerprint
from tokens.revocation_selectors import TargetNames, cut_with, tokens_of
from tokens.services.ledger import probe_revocation
from tokens.services.upstream import enqueue_upstream_locked
from tokens.targets import Kind, RevocationTarget

_SOME = 1000


@dataclass(frozen=True, slots=True)
class RevocationResult:
    tokens_cut: int
    revocation: Revocation | None  # None: there was nothing left to revoke

    def then(self, later: "RevocationResult") -> "RevocationResult":
        """Return what both cut, with the later row of the ledger."""
        return RevocationResult(self.tokens_cut + later.tokens_cut, later.revocation or self.revocation)


@dataclass(frozen=True, slots=True)
class Order:
    """Who revokes what, and why: what every step needs to know."""

    target: RevocationTarget
    names: TargetNames
    actor: Actor
    reason: str
    asked_at: datetime
    asks_portal: bool = True  # whether the portal's administrator has something to do at Flowlu


def lock_places(target: RevocationTarget) -> None:
    """Hold every installation in which the target may have tokens: a handshake there ends before or begins after.

    A portal, also that of a user, and an application are held as well: a first launch, which makes an installation,
    waits for them.
    """
    here: QuerySet[Installation] = Installation.objects.all()
    match target.kind:
        case Kind.INSTALLATION:
            here = here.filter(pk=target.id)
        case Kind.PORTAL:
            _hold(Portal.objects.filter(pk=target.id))
            here = here.filter(portal=target.id)
        case Kind.APPLICATION:
            _hold(Application.objects.filter(pk=target.id))
            here = here.filter(application=target.id)
        case Kind.PORTAL_USER if target.installation_id is not None:
            here = here.filter(pk=target.installation_id)
        case Kind.PORTAL_USER:
            portals = Portal.objects.filter(pk__in=PortalUser.objects.filter(pk=target.id).values("portal"))
            _hold(portals)
            here = here.filter(portal__in=portals)
        case _:
            here = _places_of(tokens_of(target))
    _hold(here)


def _places_of(tokens: QuerySet[OAuthToken]) -> QuerySet[Installation]:
    return Installation.objects.filter(pk__in=tokens.values("installation"))


def _hold(rows: QuerySet[Any]) -> None:
    """Lock rows in the order of their numbers.

    NO KEY UPDATE: a row that refers to one of them can still be written, so that nobody who holds another row waits
    here for a mere reference.
    """
    list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))


def extent(target: RevocationTarget, until: int | None = None) -> tuple[int, int]:
    """Return how many tokens the target names, and the newest of them, up to a number. One statement."""
    named = tokens_of(target) if until is None else tokens_of(target).filter(pk__lte=until)
    found = named.aggregate(tokens=Count("pk"), newest=Max("pk"))
    return found["tokens"], found["newest"] or 0


def begin_locked(order: Order, tokens: int, newest: int) -> Revocation:
    """Write the ledger row of a revocation that has cut nothing yet."""
    return Revocation.objects.create(
        scope=Revocation.Scope(order.target.kind.value),
        target=order.target.to_json(),
        target_id=order.names.audit_id,
        target_label=order.names.label[:500],
        installation=order.names.installation,
        actor_name=order.actor.name or order.actor.id,
        reason=order.reason,
        state=Revocation.State.RUNNING,
        until=newest,
        tokens_expected=tokens,
        asked_at=order.asked_at,
        tokens_cut=0,
        portal_step=Revocation.PortalStep.OPEN if order.asks_portal else Revocation.PortalStep.NOT_ASKED,
    )


def cut_next_locked(revocation: Revocation, target: RevocationTarget, size: int | None = None) -> int:
    """Cut the next tokens in the order of their numbers, `size` of them at most, and keep the ledger row in step.

    Without `size` it cuts all that are left, in places that the caller holds. Sets the row to done when none is left.
    Returns how many were cut, those that hold the same secret elsewhere included.
    """
    left = tokens_of(target).filter(pk__gt=revocation.cursor, pk__lte=revocation.until)
    upper = revocation.until
    if size is not None:
        numbers = left.order_by("pk").values_list("pk", flat=True)
        upper = next(iter(numbers[size - 1 : size]), revocation.until)
        _hold(_places_of(left.filter(pk__lte=upper)))
    now = timezone.now()
    cut = _cut_locked(revocation, left.filter(pk__lte=upper), now)
    revocation.cursor = upper
    if upper >= revocation.until:
        if size is not None and tokens_of(target).filter(pk__lte=revocation.until).exists():
            revocation.cursor = 0  # one was stored beside the run under a number that was passed already
        else:
            revocation.state = Revocation.State.DONE
            revocation.in_background = False
            transaction.on_commit(lambda: probe_revocation(revocation.pk), robust=True)
    revocation.cut_at = now
    moved = ["cursor", "state", "in_background", "cut_at", "tokens_cut", "without_expiry", "possibly_alive_until"]
    revocation.save(update_fields=moved)
    return cut


def cut_beside_locked(revocation: Revocation, target: RevocationTarget, now: datetime) -> int:
    """Cut what was stored beside a revocation under its row of the ledger, which the caller holds with the places."""
    cut = _cut_locked(revocation, tokens_of(target), now)
    revocation.save(update_fields=["tokens_cut", "without_expiry", "possibly_alive_until"])
    return cut


def _cut_locked(revocation: Revocation, named: QuerySet[OAuthToken], now: datetime) -> int:
    """Cut these and what holds the same secret elsewhere: deny every fingerprint, wipe, leave a tombstone."""
    rows = cut_with(named)
    _hold(rows)
    facts = rows.aggregate(without=Count("pk", filter=Q(expires_at__isnull=True)), latest=Max("expires_at"))
    _deny(revocation, named, rows, now)
    enqueue_upstream_locked(revocation, rows)
    cut = rows.update(
        state=OAuthToken.State.REVOKED,
        revoked_at=now,
        revocation=revocation,
        sealed_access_token=None,
        sealed_refresh_token=None,
        seal_key_id="",
    )
    revocation.tokens_cut += cut
    revocation.without_expiry += facts["without"]
    known = [moment for moment in (revocation.possibly_alive_until, facts["latest"]) if moment is not None]
    revocation.possibly_alive_until = max(known) if known and not revocation.without_expiry else None
    return cut


def _deny(revocation: Revocation, named: QuerySet[OAuthToken], rows: QuerySet[OAuthToken], now: datetime) -> None:
    """Put every fingerprint of the rows on the deny list, and those that the named lineages had before.

    INSERT from SELECT: nothing of it passes through this process. In one order, so that two that deny the same
    fingerprints wait for each other and never in a circle.
    """
    if len(list(vault.fingerprint_keys())) > 1:
        _deny_under_each_key(revocation, rows, now)
    earlier = ReplacedFingerprint.objects.filter(oauth_token__in=named.values("pk"))
    prints = rows.values_list("access_fingerprint", "fingerprint_key_id").union(
        rows.exclude(refresh_fingerprint="").values_list("refresh_fingerprint", "fingerprint_key_id"),
        earlier.values_list("fingerprint", "fingerprint_key_id"),
    )
    with connection.cursor() as cursor:
        compiled, values = prints.query.sql_with_params()
        cursor.execute(
            "INSERT INTO tokens_revokedfingerprint (fingerprint, fingerprint_key_id, revocation_id, revoked_at) "  # noqa: S608 - compiled by the ORM, values apart
            f"SELECT f.*, %s, %s FROM ({compiled}) AS f WHERE true ORDER BY 1 ON CONFLICT (fingerprint) DO NOTHING",
            [revocation.pk, connection.ops.adapt_datetimefield_value(now), *values],
        )


def _deny_under_each_key(revocation: Revocation, rows: QuerySet[OAuthToken], now: datetime) -> None:
    """Deny what can be unsealed under every fingerprint key, while they are rotated.

    Another row may hold the same token under another key. The one step that takes secrets into this process, some at a
    time.
    """
    secrets: Any = rows.order_by("pk").values_list(
        "uuid",
        "sealed_access_token",
        "sealed_refresh_token",
        "access_fingerprint",
        "refresh_fingerprint",
        "fingerprint_key_id",
    )
    pending: list[RevokedFingerprint] = []
    for uuid, *columns in secrets.iterator(chunk_size=_SOME):
        pending += (
            RevokedFingerprint(
                fingerprint=denied.digest, fingerprint_key_id=denied.key_id, revocation=revocation, revoked_at=now
            )
            for denied in vault.fingerprints_to_deny(vault.StoredSecrets(str(uuid), *columns))
        )
        if len(pending) >= _SOME:
            _insert(pending)
            pending = []
    _insert(pending)


def _insert(denied: list[RevokedFingerprint]) -> None:
    RevokedFingerprint.objects.bulk_create(sorted(denied, key=lambda row: row.fingerprint), ignore_conflicts=True)


def revoked_event(revocation: Revocation, names: TargetNames, reason: str, cut: int) -> audit.Event:
    """Return the event for tokens that were cut just now: all of them, or one batch of a longer run."""
    details = {"revocation": revocation.pk, "scope": revocation.scope, "tokens_cut": cut}
    if revocation.tokens_cut != cut or revocation.state != Revocation.State.DONE:
        details |= {"in_all": revocation.tokens_cut, "done": revocation.state == Revocation.State.DONE}
    return audit.Event(
        "tokens.revoked",
        names.audit_kind,
        names.audit_id,
        revocation.installation_id,
        reason,
        details,
    )


def revoke_locked(order: Order) -> tuple[RevocationResult, audit.Event | None]:
    """Cut all of a target's tokens at once. The caller holds its places."""
    tokens, newest = extent(order.target)
    if not tokens:
        return RevocationResult(0, None), None
    revocation = begin_locked(order, tokens, newest)
    cut = cut_next_locked(revocation, order.target)
    return RevocationResult(cut, revocation), revoked_event(revocation, order.names, order.reason, cut)
