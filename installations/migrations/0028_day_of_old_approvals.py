from datetime import UTC

from django.db import migrations
from django.db.models.functions import TruncDate


def note_approval(apps, schema_editor):
    """Give approvals of which no day was noted the day of the approval: it is one of a decision."""
    rows = apps.get_model("installations", "ApprovedPermission").objects.filter(active_on__isnull=True)
    rows.update(active_on=TruncDate("approved_at", tzinfo=UTC))


class Migration(migrations.Migration):
    dependencies = [
        ("installations", "0027_saved_filters"),
    ]

    operations = [
        migrations.RunPython(note_approval, migrations.RunPython.noop),
    ]
