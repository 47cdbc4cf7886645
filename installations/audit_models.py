"""Rows of the audit trail: append-only, chained, without foreign keys.

Events are written only by `installations.audit`; the only way to remove any is behind a signed checkpoint.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _

from installations.said import said


class AuditTrailIsAppendOnly(TypeError):
    """Somebody tried to change or remove a row of the audit trail."""


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **_kwargs: Any) -> NoReturn:
        raise AuditTrailIsAppendOnly

    def delete(self) -> NoReturn:
        raise AuditTrailIsAppendOnly

    def bulk_update(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise AuditTrailIsAppendOnly

    def delete_behind(self, checkpoint: "AuditCheckpoint") -> int:
        """Delete the events that a checkpoint stands for. PostgreSQL refuses it for any other."""
        removed: int = self.filter(sequence__lte=checkpoint.sequence)._raw_delete(self.db)
        return removed


class AuditEvent(models.Model):
    """What was done, by whom, to what and why. Actor and target are values: removing them changes no row."""

    sequence = models.PositiveBigIntegerField(unique=True, help_text=_("Gapless, from 1."))
    occurred_at = models.DateTimeField(db_index=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=250)
    actor_name = models.CharField(max_length=150, blank=True)
    via = models.CharField(max_length=20)
    verb = models.CharField(max_length=60)
    target_kind = models.CharField(max_length=40)
    target_id = models.CharField(max_length=250)
    installation_id = models.BigIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=1000, blank=True)
    details = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    key_id = models.CharField(max_length=32)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-sequence"]
        indexes: ClassVar = [
            # The list by each of its filters, newest first. Some values are rare among millions.
            models.Index(fields=["verb", "-sequence"], name="installations_audit_verb"),
            models.Index(fields=["actor_kind", "-sequence"], name="installations_audit_kind"),
            models.Index(fields=["via", "-sequence"], name="installations_audit_via"),
            # What happened to one thing, one installation, and by one actor: pages lead there, and search.
            models.Index(fields=["target_id", "-sequence"], name="installations_audit_target"),
            models.Index(fields=["installation_id", "-sequence"], name="installations_audit_inst"),
            models.Index(fields=["actor_id", "-sequence"], name="installations_audit_who"),
            # Which keys the trail needs, for /readyz.
            models.Index(fields=["key_id"], name="installations_audit_key_idx"),
        ]
        permissions: ClassVar = [
            ("export_audit", "Can export the audit trail"),
            ("prune_audit", "Can remove old events of the audit trail"),
        ]
        constraints: ClassVar = [
            # So that the hash, which covers the one, covers the other.
            models.CheckConstraint(
                condition=models.Q(id=models.F("sequence")), name="installations_auditevent_id_is_sequence"
            )
        ]

    def __str__(self) -> str:
        return f"{self.sequence}: {self.verb} {self.target_kind} {self.target_id}"

    def save(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        # Also for a new row: only `audit.append` gives it its place in the chain.
        raise AuditTrailIsAppendOnly

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise AuditTrailIsAppendOnly


class AuditHead(models.Model):
    """The one row that says where the chain ends. Whoever appends locks it, last of all locks."""

    ONLY: ClassVar[int] = 1

    id = models.PositiveSmallIntegerField(primary_key=True)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="installations_audithead_only_one")
        ]

    def __str__(self) -> str:
        return said("head at %(sequence)s", sequence=self.sequence)


class AuditCheckpoint(models.Model):
    """What a removed beginning of the trail was: the chain goes on behind it. Signed, and never changed."""

    sequence = models.PositiveBigIntegerField(unique=True, help_text=_("The last event that was removed."))
    hash = models.CharField(max_length=64, help_text=_("of that event"))
    after = models.PositiveBigIntegerField(help_text=_("The checkpoint before, or 0."))
    events = models.PositiveBigIntegerField(help_text=_("How many events were removed with it."))
    made_at = models.DateTimeField()
    key_id = models.CharField(max_length=32)
    mac = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["-sequence"]

    def __str__(self) -> str:
        return said("checkpoint at %(sequence)s", sequence=self.sequence)


class RefusedAttempts(models.Model):
    """How often one actor was refused for want of one permission since a time: the bound on what is recorded of it."""

    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=250)
    actor_name = models.CharField(max_length=150, blank=True)
    via = models.CharField(max_length=20)
    permission = models.CharField(max_length=100)
    since = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["actor_kind", "actor_id", "via", "permission"], name="installations_refusedattempts_once"
            )
        ]

    def __str__(self) -> str:
        return said("refused attempts #%(pk)s", pk=self.pk)


def fields_covered(event: AuditEvent) -> Iterable[tuple[str, Any]]:
    """Return every column that the hash covers, by name: all but the key and the hash itself."""
    for column in AuditEvent._meta.concrete_fields:
        if column.name not in {"id", "hash"}:
            yield column.name, getattr(event, column.name)
