import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Each new index comes before the one that it replaces goes."""

    dependencies = [
        ("installations", "0030_unused_by_code"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="installation",
            index=models.Index(fields=["application", "id"], name="installations_inst_app"),
        ),
        migrations.AlterField(
            model_name="installation",
            name="application",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="installations",
                to="installations.application",
            ),
        ),
        migrations.AddIndex(
            model_name="portaluser",
            index=models.Index(fields=["flowlu_user_id", "id"], name="installations_user_number"),
        ),
        migrations.RemoveIndex(
            model_name="portaluser",
            name="installations_portaluser_id",
        ),
    ]
