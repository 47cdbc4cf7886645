from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tokens", "0017_moving_tokens_in")]

    operations = [
        migrations.AlterField(
            model_name="daycount",
            name="subject",
            field=models.CharField(
                choices=[
                    ("handshake", "sessions asked for"),
                    ("call", "calls of embedded frontends"),
                    ("service_call", "calls of backend code"),
                    ("upstream", "answers of portals by how long they took"),
                    ("refresh_end", "refreshes, as they ended"),
                    ("refresh", "refreshes by how they ended"),
                    ("cut", "tokens that were cut, by what was aimed at"),
                    ("installation", "installations by status, as they were when counted last"),
                ],
                max_length=20,
            ),
        ),
    ]
