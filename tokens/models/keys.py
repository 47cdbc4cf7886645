"""Which keys were ever in use here, as far as a database may know."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class KeyRecord(models.Model):
    """A key that rows were found under, by its id and own fingerprint. Never pruned.

    A restored dump says with these which keys it needs, and a ring that has the right id with another key shows.
    """

    class Ring(models.TextChoices):
        TOKEN_KEYS = "TOKEN_KEYS"  # noqa: S105  (the name of a setting)
        FINGERPRINT_KEY = "FINGERPRINT_KEY"
        AUDIT_KEY = "AUDIT_KEY"

    ring = models.CharField(max_length=20, choices=Ring.choices)
    key_id = models.CharField(max_length=32)
    fingerprint = models.CharField(max_length=64)
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        # Permissions that belong to no row: what one may do with the keys, and with the desk for leaked tokens.
        permissions: ClassVar = [
            ("rewrap_tokens", "Can rewrap sealed values under the newest keys"),
            ("find_leaked", "Can look leaked tokens up"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ring", "key_id", "fingerprint"], name="tokens_keyrecord_once")
        ]

    def __str__(self) -> str:
        return f"{self.ring} {self.key_id} {self.fingerprint[:8]}"
