"""Requests for approvals that a second operator confirms, and approvals that one operator made alone."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from installations.said import said


class ApprovalRequestQuerySet(models.QuerySet["ApprovalRequest"]):
    def waiting(self) -> Self:
        """Return those that can still be confirmed, as far as time, decisions and removals go."""
        waiting = self.filter(state=ApprovalRequest.State.OPEN, expires_at__gt=timezone.now())
        return waiting.exclude(items__installation__status="uninstalled")


class ApprovalRequest(models.Model):
    """An approval that one operator asks for and another confirms (four eyes).

    It names the exact scopes and levels and, in its items, the exact installations with what held there. The
    requester is kept by value, as the audit trail does: removing the account leaves the request as it was.
    """

    class State(models.TextChoices):
        OPEN = "open", _("waits for a second operator")
        CONFIRMED = "confirmed", _("confirmed")
        REFUSED = "refused", _("refused")
        TAKEN_BACK = "taken_back", _("taken back")
        VOID = "void", _("void")
        ALONE = "alone", _("approved alone")

    application = models.ForeignKey("installations.Application", on_delete=models.PROTECT, related_name="+")
    scopes = models.JSONField(help_text=_("As `code.level`."))
    reason = models.CharField(max_length=1000)
    review_by = models.DateField(null=True, blank=True, help_text=_("An earlier day of review than the risk gives."))
    requested_by_id = models.CharField(max_length=250)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    decided_by_id = models.CharField(max_length=250, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_why = models.CharField(max_length=1000, blank=True)
    reviewed_by = models.CharField(max_length=150, blank=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_why = models.CharField(max_length=1000, blank=True)

    objects = ApprovalRequestQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["open", "confirmed", "refused", "taken_back", "void", "alone"]),
                name="installations_approvalrequest_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at__isnull=True) | (~Q(state="open") & Q(decided_at__isnull=False)),
                name="installations_approvalrequest_decided_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="confirmed") | ~Q(decided_by_id=F("requested_by_id")),
                name="installations_approvalrequest_two_operators",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-requested_at", "-id"], name="installations_request_latest"),
            models.Index(fields=["expires_at"], condition=Q(state="open"), name="installations_request_open"),
            models.Index(
                fields=["requested_at"],
                condition=Q(state="alone", reviewed_at__isnull=True),
                name="installations_request_alone",
            ),
        ]

    def __str__(self) -> str:
        return said("request #%(pk)s", pk=self.pk)


class ApprovalRequestItem(models.Model):
    """One installation of a request, with what held there when it was asked for."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="items")
    installation = models.ForeignKey(
        "installations.Installation", on_delete=models.PROTECT, related_name="approval_requests"
    )
    bound = models.JSONField(help_text=_("Any other value when it is to be confirmed makes the request void."))

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "installation"], name="installations_approvalrequestitem_once"),
        ]

    def __str__(self) -> str:
        return said(
            "installation #%(installation_id)s of request #%(request_id)s",
            installation_id=self.installation_id,
            request_id=self.request_id,
        )


class BreakGlassManager(models.Manager["ApprovalRequest"]):
    def get_queryset(self) -> models.QuerySet["ApprovalRequest"]:
        return super().get_queryset().filter(state=ApprovalRequest.State.ALONE)


class BreakGlass(ApprovalRequest):
    """An approval of high risk that one operator made alone. It stays on a list until another one looked at it."""

    objects = BreakGlassManager()  # type: ignore[assignment,misc]  # only the rows that this is about

    class Meta:
        proxy = True
        verbose_name = _("break-glass approval")
        permissions: ClassVar = [("break_glass", "Can approve scopes of high risk without a second operator")]

    def __str__(self) -> str:
        return said("break-glass approval #%(pk)s", pk=self.pk)
