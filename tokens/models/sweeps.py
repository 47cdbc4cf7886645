"""When each periodic job last ran, so that many processes run it once."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from installations.said import said


class SweepRun(models.Model):
    """The last run of a job. Who moves `started_at` on from what it read has the run."""

    name = models.CharField(max_length=50, unique=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    done = models.PositiveIntegerField(default=0, help_text=_("How many things the last finished run did."))

    failing_since = models.DateTimeField(
        null=True, blank=True, help_text=_("The first of the failures since the last run that went well.")
    )

    def __str__(self) -> str:
        return said("sweep %(name)s", name=self.name)
