"""Sessions of the portal users who have a page open."""

from datetime import timedelta
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from installations.said import said
from tokens.models.credentials import OAuthToken
from tokens.models.digests import HEX_DIGEST


class EmbedSessionQuerySet(models.QuerySet["EmbedSession"]):
    def open(self) -> Self:
        """Sessions that would be let in now: not ended, not idle for too long, not past the longest life."""
        now = timezone.now()
        idle_since = now - timedelta(seconds=settings.EMBED_SESSION_IDLE)
        return self.filter(ended_at__isnull=True, expires_at__gt=now, last_used_at__gt=idle_since)


class EmbedSession(models.Model):
    """The current portal user's session in the iframe. Only the SHA-256 of its token is stored.

    A plain hash suffices: the token is 256 random bits, which nobody can guess their way to.
    """

    token_hash = models.CharField(max_length=64, unique=True)
    oauth_token = models.ForeignKey(OAuthToken, on_delete=models.PROTECT, related_name="sessions")
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = EmbedSessionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(token_hash__regex=HEX_DIGEST), name="tokens_embedsession_hash_is_hex")
        ]
        indexes: ClassVar = [
            # For those that were over long ago.
            models.Index(fields=["expires_at"], name="tokens_embedsession_age_idx"),
            # The list as it opens.
            models.Index(fields=["-created_at", "-id"], name="tokens_embedsession_list_idx"),
        ]

    def __str__(self) -> str:
        return said("session #%(pk)s", pk=self.pk)
