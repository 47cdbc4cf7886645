from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("installations", "0021_approval_in_force_has_review_by")]

    operations = [
        migrations.AddIndex(
            model_name="portaluser",
            index=models.Index(fields=["flowlu_user_id"], name="installations_portaluser_id"),
        ),
    ]
