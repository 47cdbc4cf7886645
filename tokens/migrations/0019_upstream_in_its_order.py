from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tokens", "0018_counts_for_metrics")]

    operations = [
        migrations.AddIndex(
            model_name="upstreamrevocation",
            index=models.Index(fields=["-created_at", "-id"], name="tokens_upstreamrevoc_list"),
        ),
        migrations.AddIndex(
            model_name="upstreamrevocation",
            index=models.Index(
                condition=models.Q(("state", "irrevocable")), fields=["created_at"], name="tokens_upstreamrevoc_open"
            ),
        ),
    ]
