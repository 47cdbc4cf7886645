from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tokens", "0016_indexes_with_the_key")]

    operations = [
        migrations.AlterModelOptions(
            name="oauthtoken",
            options={
                "verbose_name": "token",
                "permissions": [
                    ("revoke_oauthtoken", "Can revoke tokens"),
                    ("import_oauthtoken", "Can move tokens in from another store"),
                ],
            },
        ),
    ]
