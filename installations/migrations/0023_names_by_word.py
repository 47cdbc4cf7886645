"""On PostgreSQL, find portal users by the beginning of any word of their names, however many there are."""

from django.db import migrations

# As `portal_users_named` asks: another expression would not be answered by the index.
CREATE = """
CREATE INDEX installations_portaluser_words ON installations_portaluser
    USING gin (to_tsvector('simple'::regconfig, COALESCE(name, '')));
"""
DROP = "DROP INDEX installations_portaluser_words;"


def _run(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("installations", "0022_portal_users_by_id")]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP))]
