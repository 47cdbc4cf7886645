"""Give every approval in force a date by which it is to be reviewed, counted from its approval by its risk.

The risk of each scope is that of the catalogue as it shipped with this step, and the days are the settings' defaults;
what the catalogue does not name is of high risk. A date that would have passed already becomes today: it is due at
once, since nobody has looked at it for longer than that, but nobody missed a date that was never set. Those withdrawn
before keep none.
"""

from datetime import UTC, timedelta

from django.db import migrations
from django.utils import timezone

DAYS = {"low": 365, "medium": 180, "high": 90}
LOW = {("user.me", "read"), ("user.me", "full"), ("products", "read"), ("customfields", "read")}
MEDIUM = {
    *((code, "read") for code in (
        "users", "crm.accounts", "crm.deals", "calendar", "task", "knowledgebase", "workspace", "orgchart",
        "customlists", "st", "agile", "timetracker", "telephony", "company",
    )),
    *((code, "full") for code in ("products", "calendar", "task", "knowledgebase", "customlists", "agile")),
}  # fmt: skip
BATCH = 2000


def give_each_a_review(apps, schema_editor):
    approvals = apps.get_model("installations", "ApprovedPermission").objects.using(schema_editor.connection.alias)
    without = approvals.filter(withdrawn_at__isnull=True, review_by__isnull=True).order_by("pk")
    today = timezone.now().astimezone(UTC).date()
    while rows := list(without.only("code", "level", "approved_at")[:BATCH]):
        for row in rows:
            scope = (row.code, row.level)
            risk = "low" if scope in LOW else "medium" if scope in MEDIUM else "high"
            counted = row.approved_at.astimezone(UTC).date() + timedelta(days=DAYS[risk])
            row.review_by = max(counted, today)
        approvals.bulk_update(rows, ["review_by"])


class Migration(migrations.Migration):
    dependencies = [("installations", "0019_reviews_of_approvals")]

    # Taken back, the column stays as it was filled: the code before knows of no date.
    operations = [migrations.RunPython(give_each_a_review, migrations.RunPython.noop)]
