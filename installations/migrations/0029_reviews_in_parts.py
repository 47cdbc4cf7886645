from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("installations", "0028_day_of_old_approvals"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="approvedpermission",
            name="installations_approved_due_idx",
        ),
        migrations.RemoveIndex(
            model_name="approvedpermission",
            name="installations_approved_act_idx",
        ),
        migrations.AlterField(
            model_name="approvedpermission",
            name="active_on",
            field=models.DateField(
                help_text="A day of a decision about it or of a call that it let through; a later call may not be noted yet.",
            ),
        ),
        migrations.AddIndex(
            model_name="approvedpermission",
            index=models.Index(
                condition=models.Q(("withdrawn_at__isnull", True)),
                fields=["review_by", "id"],
                name="installations_approved_day",
            ),
        ),
        migrations.AddIndex(
            model_name="approvedpermission",
            index=models.Index(
                condition=models.Q(("withdrawn_at__isnull", True)),
                fields=["active_on", "id"],
                name="installations_approved_use",
            ),
        ),
    ]
