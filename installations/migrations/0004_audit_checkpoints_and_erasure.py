"""Checkpoints that stand for removed beginnings of the trail, the bound on refused attempts, erased portal users."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("installations", "0003_audit_ids_are_sequences"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sequence", models.PositiveBigIntegerField(help_text="The last event that was removed.", unique=True)),
                ("hash", models.CharField(help_text="of that event", max_length=64)),
                ("after", models.PositiveBigIntegerField(help_text="The checkpoint before, or 0.")),
                ("events", models.PositiveBigIntegerField(help_text="How many events were removed with it.")),
                ("made_at", models.DateTimeField()),
                ("key_id", models.CharField(max_length=32)),
                ("mac", models.CharField(max_length=64)),
            ],
            options={
                "ordering": ["-sequence"],
            },
        ),
        migrations.CreateModel(
            name="RefusedAttempts",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor_kind", models.CharField(max_length=20)),
                ("actor_id", models.CharField(max_length=250)),
                ("actor_name", models.CharField(blank=True, max_length=150)),
                ("via", models.CharField(max_length=20)),
                ("permission", models.CharField(max_length=100)),
                ("since", models.DateTimeField()),
                ("count", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.AlterModelOptions(
            name="auditevent",
            options={
                "ordering": ["-sequence"],
                "permissions": [
                    ("export_audit", "Can export the audit trail"),
                    ("prune_audit", "Can remove old events of the audit trail"),
                ],
            },
        ),
        migrations.AlterModelOptions(
            name="portaluser",
            options={"permissions": [("erase_portaluser", "Can remove the names of portal users")]},
        ),
        migrations.AddField(
            model_name="portaluser",
            name="erased_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When the name was removed. A later visit names the person anew and clears it.",
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="auditevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("id", models.F("sequence"))), name="installations_auditevent_id_is_sequence"
            ),
        ),
        migrations.AddConstraint(
            model_name="portaluser",
            constraint=models.CheckConstraint(
                condition=models.Q(("erased_at__isnull", True), ("name", ""), _connector="OR"),
                name="installations_portaluser_erased_has_no_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="refusedattempts",
            constraint=models.UniqueConstraint(
                fields=("actor_kind", "actor_id", "via", "permission"), name="installations_refusedattempts_once"
            ),
        ),
    ]
