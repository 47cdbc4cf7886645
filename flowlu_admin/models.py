"""Operators as the console shows them, whose accounts are those of `auth_user`, and who was invited to be one.

What they are told has tables, which `notices.models` declares.
"""

from typing import ClassVar

from django.contrib.auth.models import User
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from flowlu_admin.notices.models import (
    Notice,
    NoticeChoice,
    NoticeCondition,
    NoticeCursor,
    NoticeDelivery,
    NoticeOccasion,
)
from installations.said import said

__all__ = [
    "CompanyAccount",
    "Invitation",
    "Notice",
    "NoticeChoice",
    "NoticeCondition",
    "NoticeCursor",
    "NoticeDelivery",
    "NoticeOccasion",
    "Operator",
    "OperatorZone",
]


class Operator(User):
    """An operator's account. It is never deleted: the audit trail and approvals name it."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("manage_operator", "Can invite, remove and restore operators, end their sessions and change their groups"),
            ("manage_superuser", "Can do so with superusers"),
        ]
        verbose_name = _("operator")


class Invitation(models.Model):
    """Somebody who may make themselves one operator's account, once and until a moment, with what was mailed to them.

    Of the code there is only the hash here, and not even that once the invitation was used or withdrawn.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        ACCEPTED = "accepted", _("accepted")
        WITHDRAWN = "withdrawn", _("withdrawn")
        EXPIRED = "expired", _("expired")

    email = models.EmailField(_("mail address"))
    groups = models.JSONField(default=list)  # names
    code_hash = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001 - NULL stands for none, "" would be one
    invited_by = models.ForeignKey(  # nobody's account: a shell
        User, models.PROTECT, null=True, related_name="+", editable=False
    )
    invited_at = models.DateTimeField(_("invited"), default=timezone.now)
    expires_at = models.DateTimeField(_("holds until"))
    mailed_at = models.DateTimeField(_("mailed"), null=True)  # when the mail server took it, for the code that counts
    accepted_at = models.DateTimeField(_("accepted"), null=True)
    account = models.OneToOneField(User, models.PROTECT, null=True, related_name="+", editable=False)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name = _("invitation")
        constraints: ClassVar = [
            models.CheckConstraint(
                name="invitation_is_open_or_over",
                condition=models.Q(code_hash__isnull=False, accepted_at=None, withdrawn_at=None)
                | models.Q(code_hash=None, accepted_at__isnull=False, withdrawn_at=None)
                | models.Q(code_hash=None, accepted_at=None, withdrawn_at__isnull=False),
            ),
            models.UniqueConstraint(
                Lower("email"), name="one_open_invitation", condition=models.Q(code_hash__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return said("invitation #%(pk)s", pk=self.pk)

    @property
    def state(self) -> State:
        if self.accepted_at is not None:
            return self.State.ACCEPTED
        if self.withdrawn_at is not None:
            return self.State.WITHDRAWN
        return self.State.EXPIRED if self.expires_at <= timezone.now() else self.State.WAITING


class OperatorZone(models.Model):
    """The zone that an operator wants times in. Without a row it is UTC."""

    operator = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    name = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()  # everybody sets their own

    def __str__(self) -> str:
        return said("zone of operator #%(pk)s", pk=self.pk)


class CompanyAccount(models.Model):
    """An operator's account at the company's OpenID provider: what never changes of it, and nothing else.

    `groups` are the names of those that the provider gave at the last sign-in, which it may take again. What was
    unlinked stays: somebody who was an operator under one account is not made another one.
    """

    operator = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    groups = models.JSONField(default=list)
    linked_at = models.DateTimeField(default=timezone.now)
    unlinked_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()  # everybody links their own
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="company_account_of_one_operator"),
            models.UniqueConstraint(
                fields=["operator", "issuer"],
                condition=models.Q(unlinked_at__isnull=True),
                name="one_company_account_of_an_operator",
            ),
        ]

    def __str__(self) -> str:
        return said("company account of operator #%(pk)s", pk=self.operator_id)
