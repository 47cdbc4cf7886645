"""On PostgreSQL, let events go that a checkpoint stands for, and nothing else; a checkpoint itself stays as it is.

Whoever writes a checkpoint of their own to get past this has not signed it with AUDIT_KEY: verify_audit says so.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION installations_auditevent_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {exception}
    RAISE EXCEPTION 'the audit trail is append-only';
END
$$;
"""
ALLOW = """IF TG_OP = 'DELETE' THEN
        IF OLD.sequence <= (SELECT max(sequence) FROM installations_auditcheckpoint) THEN
            RETURN OLD;
        END IF;
    END IF;"""
CHECKPOINTS = """
CREATE FUNCTION installations_auditcheckpoint_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END
$$;
CREATE TRIGGER installations_auditcheckpoint_append_only
    BEFORE UPDATE OR DELETE ON installations_auditcheckpoint
    FOR EACH ROW EXECUTE FUNCTION installations_auditcheckpoint_refuse();
"""
NO_CHECKPOINTS = """
DROP TRIGGER installations_auditcheckpoint_append_only ON installations_auditcheckpoint;
DROP FUNCTION installations_auditcheckpoint_refuse();
"""


def _run(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("installations", "0004_audit_checkpoints_and_erasure")]

    operations = [
        migrations.RunPython(
            _run(FUNCTION.format(exception=ALLOW) + CHECKPOINTS),
            _run(FUNCTION.format(exception="") + NO_CHECKPOINTS),
        )
    ]
