"""When each periodic job last ran, so that many processes run it once."""

from django.db import models


class SweepRun(models.Model):
    """The last run of a job. Who moves `started_at` on from what it read has the run."""

    name = models.CharField(max_length=50, unique=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    done = models.PositiveIntegerField(default=0, help_text="How many things the last finished run did.")

    def __str__(self) -> str:
        return f"sweep {self.name}"
