"""Give each audit event its sequence as its id, so that the keyed hash, which covers the one, covers the other.

No hash changes: the id was never part of it. In two steps, since an id may be in use by a row that comes later.
"""

from django.db import migrations

SWITCH = "ALTER TABLE installations_auditevent {} TRIGGER installations_auditevent_append_only"


def _renumber(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    if on_postgresql:
        schema_editor.execute(SWITCH.format("DISABLE"))
    schema_editor.execute("UPDATE installations_auditevent SET id = -sequence WHERE id <> sequence")
    schema_editor.execute("UPDATE installations_auditevent SET id = sequence WHERE id < 0")
    if on_postgresql:
        schema_editor.execute(SWITCH.format("ENABLE"))


class Migration(migrations.Migration):
    dependencies = [("installations", "0002_audit_trail_append_only")]

    operations = [migrations.RunPython(_renumber, migrations.RunPython.noop)]
