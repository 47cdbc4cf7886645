"""On PostgreSQL, refuse UPDATE, DELETE and TRUNCATE on the editions of the scope catalogue.

An edition that was changed would be another catalogue under a number that approvals and the audit trail name.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION installations_catalogueedition_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'editions of the scope catalogue are append-only';
END
$$;
CREATE TRIGGER installations_catalogueedition_append_only
    BEFORE UPDATE OR DELETE ON installations_catalogueedition
    FOR EACH ROW EXECUTE FUNCTION installations_catalogueedition_refuse();
CREATE TRIGGER installations_catalogueedition_no_truncate
    BEFORE TRUNCATE ON installations_catalogueedition
    FOR EACH STATEMENT EXECUTE FUNCTION installations_catalogueedition_refuse();
"""
DROP = """
DROP TRIGGER installations_catalogueedition_no_truncate ON installations_catalogueedition;
DROP TRIGGER installations_catalogueedition_append_only ON installations_catalogueedition;
DROP FUNCTION installations_catalogueedition_refuse();
"""


def _run(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("installations", "0017_catalogue_edition")]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP))]
