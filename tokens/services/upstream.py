"""Have Flowlu take revoked tokens back (RFC 7009), where a deployment names an endpoint for that. Off by default.

A cut here never waits for it: the pair moves, sealed, into a row of its own in the cut's transaction, and Flowlu is
told afterwards in a bounded number of tries. What is not confirmed then stays visible as irrevocable until it is tried
again or an operator with a permission of its own closes the case. docs/adr/0017 has the reasons.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import CharField, DateTimeField, IntegerField, Q, QuerySet, Value
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason, system_actor
from installations.errors import StateConflict
from installations.flowlu.configured import can_revoke_upstream, oauth_endpoint
from installations.flowlu.oauth_endpoint import RevocationFailed
from installations.said import said
from tokens import backoff, vault
from tokens.background import after_commit
from tokens.errors import UnsealFailed
from tokens.models import OAuthToken, Revocation, UpstreamRevocation

AT_ONCE_SECONDS = 3.0  # what whoever revokes waits for at most where there is no broker
LEASE_SECONDS = 60  # after a worker took a row; a dead one leaves it to the next

_State = UpstreamRevocation.State
_SEALED = Q(sealed_access_token__isnull=False) | Q(sealed_refresh_token__isnull=False)


def enqueue_upstream_locked(revocation: Revocation, cut: QuerySet[OAuthToken]) -> int:
    """Move the sealed values of what is cut aside, for Flowlu to be told; returns how many pairs there are to tell.

    Call it before they are wiped. One statement for any number of tokens; nothing where no endpoint is set.
    """
    if not can_revoke_upstream():
        return 0
    now = Value(timezone.now(), output_field=DateTimeField())
    columns = {
        "revocation_id": Value(revocation.pk, output_field=IntegerField()),
        "state": Value(_State.PENDING.value, output_field=CharField()),
        "attempts": Value(0, output_field=IntegerField()),
        "next_try_at": now,
        "created_at": now,
        **{name: Value("", output_field=CharField()) for name in ("error", "closed_by", "closed_reason")},
    }
    moved = ("pk", "sealed_access_token", "sealed_refresh_token", "seal_key_id")
    chosen = (
        cut.filter(_SEALED)
        .order_by()
        .annotate(**{f"to_{name}": value for name, value in columns.items()})
        .values_list(*moved, *(f"to_{name}" for name in columns))
    )
    sql, parameters = chosen.query.sql_with_params()
    names = ", ".join(("oauth_token_id", *moved[1:], *columns))
    table = UpstreamRevocation._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) {sql}", parameters)  # noqa: S608  (names of ours)
        moved_rows = int(cursor.rowcount)
    if moved_rows:
        _set_upstream(revocation, Revocation.Upstream.PENDING)
        after_commit("tokens.tell_upstream", revocation.pk)
    return moved_rows


def enqueue_pair_locked(
    revocation: Revocation, token: OAuthToken, access_token: str, refresh_token: str | None
) -> None:
    """Have Flowlu told about a pair that came back from a refresh after its row was revoked.

    The caller holds the token, behind which nobody may wait for the row of the ledger: a run in batches holds that one
    first. Call `sum_up` after the commit; until then the row says what it said before.
    """
    if not can_revoke_upstream():
        return
    sealed_access, sealed_refresh = vault.sealed_for(token, access_token, refresh_token)
    UpstreamRevocation.objects.create(
        revocation=revocation,
        oauth_token=token,
        sealed_access_token=sealed_access,
        sealed_refresh_token=sealed_refresh,
        seal_key_id=vault.newest_key_id(),
    )
    after_commit("tokens.tell_upstream", revocation.pk)


def sum_up(*, revocation_id: int) -> None:
    """Set what the ledger says about Flowlu's side, in a transaction that holds nothing else."""
    if not UpstreamRevocation.objects.filter(revocation=revocation_id).exists():
        return
    with transaction.atomic(durable=True):
        _sum_up_locked(Revocation.objects.select_for_update(no_key=True).get(pk=revocation_id))


def tell_due(
    *, revocation_id: int | None = None, seconds: float = 50.0, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Tell Flowlu what is due, of one revocation or of all, for so long; returns how many rows were tried."""
    until = time.monotonic() + seconds
    tried = 0
    due = UpstreamRevocation.objects.due().order_by("next_try_at", "pk")
    if revocation_id is not None:
        due = due.filter(revocation=revocation_id)
    for pk in list(due.values_list("pk", flat=True)[:500]):
        if stopped() or time.monotonic() > until:
            break
        tried += tell(upstream_id=pk)
    return tried


def tell(*, upstream_id: int) -> bool:
    """Tell Flowlu about one pair, the refresh token first; returns whether this worker was the one to do it.

    The try is counted before anything is sent, so that one that ends with its process counts as well. Telling twice
    does no harm (RFC 7009 §2.2).
    """
    if not can_revoke_upstream():
        return False
    row = UpstreamRevocation.objects.due().select_related("revocation").filter(pk=upstream_id).first()
    if row is None:
        return False
    if row.revocation.upstream != Revocation.Upstream.PENDING:
        sum_up(revocation_id=row.revocation_id)  # a pair that came back from a refresh
    now = timezone.now()
    mine = UpstreamRevocation.objects.due().filter(pk=row.pk, attempts=row.attempts, next_try_at=row.next_try_at)
    lease = now + timedelta(seconds=LEASE_SECONDS + 2 * settings.OAUTH_TOTAL_SECONDS)
    if not mine.update(attempts=row.attempts + 1, next_try_at=lease, last_tried_at=now):
        return False
    row.attempts, row.next_try_at = row.attempts + 1, lease
    if row.attempts > settings.UPSTREAM_TRIES:
        # Every try ended with the process that made it, which may be of this row's doing.
        _finish(row, _State.IRREVOCABLE, "worker_lost")
        return True
    try:
        _send(row)
    except UnsealFailed:
        _finish(row, _State.IRREVOCABLE, "undecryptable")
    except RevocationFailed as error:
        if error.is_final or row.attempts >= settings.UPSTREAM_TRIES:
            _finish(row, _State.IRREVOCABLE, error.code)
        else:
            wait = backoff.wait_seconds(row.attempts, settings.UPSTREAM_BACKOFF_SECONDS, retry_after=error.retry_after)
            UpstreamRevocation.objects.filter(pk=row.pk, state=_State.PENDING, attempts=row.attempts).update(
                error=error.code, next_try_at=now + timedelta(seconds=wait)
            )
    else:
        _finish(row, _State.CONFIRMED, "")
    return True


def retry_upstream(*, upstream_id: int, actor: Actor, reason: str) -> bool:
    """Give an irrevocable case another round of tries; returns whether it was one.

    Raises NotPermitted, ReasonRequired.
    """
    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _locked(upstream_id)
        if row.state != _State.IRREVOCABLE:
            return False
        row.state, row.attempts, row.error, row.next_try_at = _State.PENDING, 0, "", timezone.now()
        row.save(update_fields=["state", "attempts", "error", "next_try_at"])
        _sum_up_locked(row.revocation)
        audit.append(actor, _event("upstream.retried", row, why))
        after_commit("tokens.tell_upstream", row.revocation_id)
    return True


def close_upstream(*, upstream_id: int, actor: Actor, reason: str) -> bool:
    """Give an unconfirmed case up: wipe what is kept for it and say by whom and why. Returns whether it was open.

    The token may go on living at Flowlu. Raises NotPermitted, ReasonRequired, StateConflict while Flowlu is being told.
    """
    actor.require("tokens.close_upstream")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _locked(upstream_id)
        if row.state in (_State.CLOSED, _State.CONFIRMED):
            return False
        if row.state == _State.PENDING:
            raise StateConflict(said("Flowlu is still being told about this one. Wait until the tries are used up."))
        row.state, row.closed_at = _State.CLOSED, timezone.now()
        row.closed_by, row.closed_reason = actor.name or actor.id, why
        row.sealed_access_token = row.sealed_refresh_token = None
        row.seal_key_id = ""
        row.save()
        _sum_up_locked(row.revocation)
        audit.append(actor, _event("upstream.closed", row, why))
    return True


def _send(row: UpstreamRevocation) -> None:
    token = OAuthToken.objects.select_related("installation__portal").get(pk=row.oauth_token_id)
    portal, uuid = token.installation.portal.domain, str(token.uuid)
    endpoint = oauth_endpoint()
    if row.sealed_refresh_token is not None:
        endpoint.revoke(portal, vault.unseal_refresh_token(uuid, row.sealed_refresh_token), "refresh_token")
        if row.sealed_access_token is not None:
            # Done, and not to be told again with the next try.
            UpstreamRevocation.objects.filter(
                pk=row.pk, state=_State.PENDING, sealed_access_token__isnull=False
            ).update(sealed_refresh_token=None)
    if row.sealed_access_token is not None:
        endpoint.revoke(portal, vault.unseal_access_token(uuid, row.sealed_access_token), "access_token")


def _finish(row: UpstreamRevocation, state: str, code: str) -> None:
    now = timezone.now()
    with transaction.atomic(durable=True):
        revocation = Revocation.objects.select_for_update(no_key=True).get(pk=row.revocation_id)
        values: dict[str, Any] = {"state": state, "error": code, "next_try_at": None}
        if state == _State.CONFIRMED:
            values |= {
                "confirmed_at": now,
                "sealed_access_token": None,
                "sealed_refresh_token": None,
                "seal_key_id": "",
            }
        # A try that was given up for dead and another one after it may both come to an end.
        if not UpstreamRevocation.objects.filter(pk=row.pk, state=_State.PENDING).update(**values):
            return
        before = revocation.upstream
        after = _sum_up_locked(revocation)
        if state == _State.IRREVOCABLE:
            audit.append(system_actor(), _event("upstream.irrevocable", row, "", error=code))
        elif after == Revocation.Upstream.CONFIRMED and before != after:
            audit.append(system_actor(), _event("upstream.confirmed", row, ""))


def _sum_up_locked(revocation: Revocation) -> str:
    """Set what the ledger says about Flowlu's side from what is known of each pair."""
    states = set(revocation.upstream_revocations.values_list("state", flat=True))
    worst = next(
        state for state in (_State.PENDING, _State.IRREVOCABLE, _State.CLOSED, _State.CONFIRMED) if state in states
    )
    _set_upstream(revocation, Revocation.Upstream(worst.value))
    return revocation.upstream


def _set_upstream(revocation: Revocation, upstream: Revocation.Upstream) -> None:
    revocation.upstream = upstream
    revocation.save(update_fields=["upstream"])


def _locked(upstream_id: int) -> UpstreamRevocation:
    """Lock the ledger row and then the case, in the order in which a try ends."""
    row = UpstreamRevocation.objects.filter(pk=upstream_id).first()
    if row is None:
        raise StateConflict(said("There is no such case."))
    revocation = Revocation.objects.select_for_update(no_key=True).get(pk=row.revocation_id)
    row = UpstreamRevocation.objects.select_for_update(no_key=True).get(pk=upstream_id)
    row.revocation = revocation
    return row


def _event(verb: str, row: UpstreamRevocation, reason: str, **details: str) -> audit.Event:
    return audit.Event(
        verb,
        "token",
        str(row.oauth_token_id),
        row.revocation.installation_id,
        reason,
        {"upstream": row.pk, "revocation": row.revocation_id, "attempts": row.attempts, **details},
    )
