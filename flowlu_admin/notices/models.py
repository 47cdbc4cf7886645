"""What operators are told, how they chose to be, and what became of each message. Nothing here holds a secret."""

import uuid
from typing import ClassVar

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from flowlu_admin.notices.kinds import How
from installations.said import said


class NoticeChoice(models.Model):
    """How an operator chose to be told of a kind. Without a row the default of the kind holds."""

    operator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="notice_choices")
    kind = models.CharField(max_length=30)
    how = models.CharField(max_length=10)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["operator", "kind"], name="flowlu_admin_noticechoice_once"),
            models.CheckConstraint(
                condition=Q(how__in=[how.value for how in How]), name="flowlu_admin_noticechoice_how_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.how}"


class NoticeCursor(models.Model):
    """The one row that says up to where was looked. Whoever moves it on from what it read has found what is new."""

    ONLY: ClassVar[int] = 1

    id = models.PositiveSmallIntegerField(primary_key=True)
    sequence = models.PositiveBigIntegerField(help_text=_("The last audit event that was looked at."))
    until = models.DateTimeField(help_text=_("What began up to then was looked at."))
    digest_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return said("looked up to event %(sequence)s", sequence=self.sequence)


class NoticeCondition(models.Model):
    """A state that holds and was told. The row goes when the state ends, so that it is told when it begins anew."""

    kind = models.CharField(max_length=30)
    key = models.CharField(max_length=64)
    began_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "key"], name="flowlu_admin_noticecondition_once"),
        ]

    def __str__(self) -> str:
        return said("%(kind)s since %(began_at)s", kind=self.kind, began_at=f"{self.began_at:%Y-%m-%d %H:%M}")


class NoticeOccasion(models.Model):
    """Something to tell, once. `label` was made safe to read when it was written."""

    kind = models.CharField(max_length=30)
    key = models.CharField(max_length=200)
    happened_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    label = models.CharField(max_length=200, blank=True)
    path = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "key"], name="flowlu_admin_noticeoccasion_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="flowlu_admin_occasion_age")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class NoticeDelivery(models.Model):
    """One message to one recipient. Its uuid is the same however often it is tried, so that a repeat can be told."""

    class Channel(models.TextChoices):
        MAIL = "mail", _("mail")
        WEBHOOK = "webhook", _("webhook")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENT = "sent", _("sent")
        FAILED = "failed", _("given up")
        DROPPED = "dropped", _("not to be sent any more")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    recipient = models.CharField(max_length=40, help_text="mail:<operator> or webhook:<digest of its address>")
    operator = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="notice_deliveries"
    )  # None: a webhook
    daily = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now, help_text=_("Who moves it on from what it read has the try."))
    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=40, blank=True, help_text=_("Why the last try failed, in a word of ours."))
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("notice")
        ordering: ClassVar = ["-created_at", "-pk"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="waiting", ended_at__isnull=True)
                | (Q(state__in=["sent", "failed", "dropped"]) & Q(ended_at__isnull=False)),
                name="flowlu_admin_noticedelivery_ended_has_time",
            ),
            models.CheckConstraint(
                condition=Q(channel="mail", operator__isnull=False) | Q(channel="webhook", operator__isnull=True),
                name="flowlu_admin_noticedelivery_mail_has_operator",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="flowlu_admin_delivery_due"),
            models.Index(fields=["recipient", "-created_at"], name="flowlu_admin_delivery_last"),
            models.Index(fields=["-created_at", "-id"], name="flowlu_admin_delivery_latest"),
            models.Index(fields=["ended_at"], condition=Q(state="failed"), name="flowlu_admin_delivery_failed"),
        ]

    def __str__(self) -> str:
        return said("notice #%(pk)s", pk=self.pk)


class Notice(models.Model):
    """That one recipient is told of one occasion, which the constraint allows once; `delivery` is the message of it."""

    occasion = models.ForeignKey(NoticeOccasion, on_delete=models.CASCADE, related_name="notices")
    recipient = models.CharField(max_length=40)
    daily = models.BooleanField(default=False)
    delivery = models.ForeignKey(
        NoticeDelivery, null=True, blank=True, on_delete=models.CASCADE, related_name="notices"
    )

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["occasion", "recipient"], name="flowlu_admin_notice_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["recipient"], condition=Q(delivery__isnull=True), name="flowlu_admin_notice_unsent"),
        ]

    def __str__(self) -> str:
        return said("%(recipient)s: occasion #%(occasion_id)s", recipient=self.recipient, occasion_id=self.occasion_id)
