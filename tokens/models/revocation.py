"""The ledger of revocations and the deny list."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from installations.models import Installation
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
