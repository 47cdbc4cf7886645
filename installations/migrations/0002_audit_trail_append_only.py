"""On PostgreSQL, refuse UPDATE and DELETE on the audit trail in the database itself.

It stops a mistake and anybody who has the service's SQL but not the owner's rights; somebody who can drop the trigger is
found by the keyed chain. SQLite has no such protection: there, whoever opens the file can change it.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION installations_auditevent_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END
$$;
CREATE TRIGGER installations_auditevent_append_only
    BEFORE UPDATE OR DELETE ON installations_auditevent
    FOR EACH ROW EXECUTE FUNCTION installations_auditevent_refuse();
"""
DROP = """
DROP TRIGGER installations_auditevent_append_only ON installations_auditevent;
DROP FUNCTION installations_auditevent_refuse();
"""


def _run(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("installations", "0001_initial")]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP))]
