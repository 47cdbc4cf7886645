import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The new index comes before the one that it replaces goes."""

    dependencies = [
        ("installations", "0031_indexes_with_the_key"),
        ("tokens", "0015_lists_and_probes"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="oauthtoken",
            index=models.Index(fields=["portal_user", "id"], name="tokens_oauthtoken_user_idx"),
        ),
        migrations.AlterField(
            model_name="oauthtoken",
            name="portal_user",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tokens",
                to="installations.portaluser",
            ),
        ),
    ]
