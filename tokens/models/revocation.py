"""The ledger of revocations, what is still to be told to Flowlu, and the deny list."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from installations.models import Installation
from tokens.models.credentials import OAuthToken
from tokens.models.digests import HEX_DIGEST


class Revocation(models.Model):
    """One act of revoking, in the ledger: what was cut here, and what is known about Flowlu's side.

    Flowlu documents no endpoint that revokes a token (flowlu-platform §10.1), so `upstream` says so.
    """

    class Scope(models.TextChoices):
        TOKEN = "token", "one token"
        PORTAL_USER = "portal_user", "all tokens of one portal user"
        INSTALLATION = "installation", "all tokens of one installation"

    class Upstream(models.TextChoices):
        NOT_POSSIBLE = "not_possible", "not possible: Flowlu documents no way to revoke a token"
        PENDING = "pending", "under way: Flowlu is being told"
        CONFIRMED = "confirmed", "confirmed: Flowlu took all of them back"
        IRREVOCABLE = "irrevocable", "irrevocable: Flowlu did not take at least one back"
        CLOSED = "closed", "closed by an operator; at least one was not confirmed"

    scope = models.CharField(max_length=20, choices=Scope.choices)
    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="revocations")
    actor_name = models.CharField(max_length=250)
    reason = models.CharField(max_length=1000)
    cut_at = models.DateTimeField(default=timezone.now, help_text="No call through here starts after it.")
    tokens_cut = models.PositiveIntegerField()
    upstream = models.CharField(max_length=20, choices=Upstream.choices, default=Upstream.NOT_POSSIBLE)
    possibly_alive_until = models.DateTimeField(
        null=True, blank=True, help_text="The latest expiry of what was cut, where it is known."
    )

    def __str__(self) -> str:
        return f"revocation #{self.pk}"


class RevokedFingerprint(models.Model):
    """The deny list: a revoked token that is handed in again is refused, on every portal."""

    fingerprint = models.CharField(max_length=64, unique=True)
    fingerprint_key_id = models.CharField(max_length=32)
    revocation = models.ForeignKey(Revocation, on_delete=models.PROTECT, related_name="fingerprints")
    revoked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(fingerprint__regex=HEX_DIGEST), name="tokens_revokedfingerprint_is_hex")
        ]
        indexes: ClassVar = [
            # Which fingerprint keys the list needs, for /readyz.
            models.Index(fields=["fingerprint_key_id"], name="tokens_revokedprint_key_idx")
        ]

    def __str__(self) -> str:
        return f"revoked fingerprint #{self.pk}"


class UpstreamRevocationQuerySet(models.QuerySet["UpstreamRevocation"]):
    def due(self) -> Self:
        return self.filter(state=UpstreamRevocation.State.PENDING, next_try_at__lte=timezone.now())


class UpstreamRevocation(models.Model):
    """One pair that Flowlu is to take back (RFC 7009): kept sealed until that is confirmed or the case is closed.

    The sealed values were moved here from the token's row and unseal with that row's context.
    """

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        CONFIRMED = "confirmed", "confirmed"
        IRREVOCABLE = "irrevocable", "irrevocable"
        CLOSED = "closed", "closed anyway"

    revocation = models.ForeignKey(Revocation, on_delete=models.PROTECT, related_name="upstream_revocations")
    oauth_token = models.ForeignKey(OAuthToken, on_delete=models.PROTECT, related_name="upstream_revocations")
    sealed_access_token = models.BinaryField(null=True)
    sealed_refresh_token = models.BinaryField(null=True)
    seal_key_id = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    error = models.CharField(max_length=40, blank=True, help_text="A fixed code of ours; never Flowlu's text.")
    created_at = models.DateTimeField(default=timezone.now)
    last_tried_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=250, blank=True)
    closed_reason = models.CharField(max_length=1000, blank=True)

    objects = UpstreamRevocationQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [("close_upstream", "Can close upstream revocations that Flowlu did not confirm")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    state__in=["confirmed", "closed"],
                    sealed_access_token__isnull=True,
                    sealed_refresh_token__isnull=True,
                )
                | (
                    Q(state__in=["pending", "irrevocable"])
                    & (Q(sealed_access_token__isnull=False) | Q(sealed_refresh_token__isnull=False))
                ),
                name="tokens_upstreamrevocation_wiped_iff_over",
            ),
            models.CheckConstraint(
                condition=Q(state="closed", closed_at__isnull=False) | (~Q(state="closed") & Q(closed_at__isnull=True)),
                name="tokens_upstreamrevocation_closed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", next_try_at__isnull=False)
                | (~Q(state="pending") & Q(next_try_at__isnull=True)),
                name="tokens_upstreamrevocation_pending_has_next",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], condition=Q(state="pending"), name="tokens_upstreamrevocation_due"),
            models.Index(
                fields=["seal_key_id"],
                condition=Q(sealed_access_token__isnull=False) | Q(sealed_refresh_token__isnull=False),
                name="tokens_upstreamrevoc_sealed",
            ),
        ]

    def __str__(self) -> str:
        return f"upstream revocation #{self.pk}"
