"""What charts of the console and metrics are made from: numbers by day, a few dozen rows for each."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from installations.said import said


class DayCount(models.Model):
    """How many of one kind ended in one way on one day (UTC). Nothing in it names a portal, a user or a credential."""

    class Subject(models.TextChoices):
        # Counted as they happen, in the process, and added every few seconds.
        HANDSHAKE = "handshake", _("sessions asked for")
        CALL = "call", _("calls of embedded frontends")
        SERVICE_CALL = "service_call", _("calls of backend code")
        UPSTREAM = "upstream", _("answers of portals by how long they took")
        REFRESH_END = "refresh_end", _("refreshes, as they ended")
        # Counted again from their own rows by the sweep.
        REFRESH = "refresh", _("refreshes by how they ended")
        CUT = "cut", _("tokens that were cut, by what was aimed at")
        INSTALLATION = "installation", _("installations by status, as they were when counted last")

    day = models.DateField()
    subject = models.CharField(max_length=20, choices=Subject.choices)
    outcome = models.CharField(max_length=40, help_text=_("`ok`, a code of the API, or a state."))
    number = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            # The charts read by day; whoever counts adds to exactly one row.
            models.UniqueConstraint(fields=["day", "subject", "outcome"], name="tokens_daycount_once"),
        ]

    def __str__(self) -> str:
        return said("%(subject)s %(outcome)s on %(day)s", subject=self.subject, outcome=self.outcome, day=self.day)
