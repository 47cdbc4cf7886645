"""On PostgreSQL, refuse TRUNCATE on the audit trail and its checkpoints: row triggers do not see it."""

from django.db import migrations

CREATE = """
CREATE TRIGGER installations_auditevent_no_truncate
    BEFORE TRUNCATE ON installations_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION installations_auditevent_refuse();
CREATE TRIGGER installations_auditcheckpoint_no_truncate
    BEFORE TRUNCATE ON installations_auditcheckpoint
    FOR EACH STATEMENT EXECUTE FUNCTION installations_auditcheckpoint_refuse();
"""
DROP = """
DROP TRIGGER installations_auditevent_no_truncate ON installations_auditevent;
DROP TRIGGER installations_auditcheckpoint_no_truncate ON installations_auditcheckpoint;
"""


def _run(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("installations", "0007_refreshed_by_server")]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP))]
