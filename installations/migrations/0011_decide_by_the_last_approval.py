"""Say of every installation under which manifest an operator decided last: what was approved last tells."""

from django.db import migrations
from django.db.models import OuterRef, Subquery


def decide_by_the_last_approval(apps, schema_editor):
    approvals = apps.get_model("installations", "ApprovedPermission").objects
    last = approvals.filter(installation=OuterRef("pk")).order_by("-approved_at", "-pk")
    apps.get_model("installations", "Installation").objects.update(
        decided_manifest=Subquery(last.values("manifest")[:1])
    )


class Migration(migrations.Migration):
    dependencies = [("installations", "0010_decided_manifest")]

    operations = [migrations.RunPython(decide_by_the_last_approval, migrations.RunPython.noop)]
