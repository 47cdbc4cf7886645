"""Give every installation what a verdict needs: the evidence that retention took, and a verdict that is due.

Without them one that was uninstalled long ago would read as quiet, and one that was not opened for as long as if nothing
were known of it.
"""

from django.db import migrations
from django.db.models import Exists, OuterRef

BATCH = 2000
GONE = "operator_statement"
LAUNCH = "launch"


def complete(apps, schema_editor):
    alias = schema_editor.connection.alias
    evidence = apps.get_model("installations", "Evidence")
    verdict = apps.get_model("installations", "Liveness")
    here = evidence.objects.using(alias).filter(installation=OuterRef("pk"))
    found = (
        apps.get_model("installations", "Installation")
        .objects.using(alias)
        .annotate(is_observed=Exists(here), is_stated=Exists(here.filter(kind=GONE)))
        .order_by("pk")
    )
    after = 0
    while rows := list(found.filter(pk__gt=after)[:BATCH]):
        after = rows[-1].pk
        missing = [
            evidence(installation_id=row.pk, kind=LAUNCH, observed_at=row.last_seen_at)
            for row in rows
            if not row.is_observed
        ] + [
            evidence(installation_id=row.pk, kind=GONE, observed_at=row.uninstalled_at)
            for row in rows
            if row.status == "uninstalled" and not row.is_stated
        ]
        evidence.objects.using(alias).bulk_create(missing)
        verdict.objects.using(alias).bulk_create(
            [verdict(installation_id=row.pk) for row in rows], ignore_conflicts=True
        )


class Migration(migrations.Migration):
    dependencies = [("installations", "0014_liveness")]

    operations = [migrations.RunPython(complete, migrations.RunPython.noop)]
