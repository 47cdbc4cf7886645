"""Keep with every purpose and API key what its scopes cover in the shipped catalogue: until now that was looked up."""

import json
from pathlib import Path

from django.db import migrations

SHIPPED = Path(__file__).resolve().parents[2] / "installations" / "catalogue.json"


def keep_what_is_covered(apps, schema_editor):
    covers = {entry["code"]: entry["covers"] for entry in json.loads(SHIPPED.read_text())["scopes"] if entry["enabled"]}
    for name in ("Purpose", "ApiKey"):
        for row in apps.get_model("tokens", name).objects.filter(covers={}).only("pk", "scopes"):
            codes = {text.removesuffix(".read").removesuffix(".full") for text in row.scopes}
            row.covers = {code: covers[code] for code in sorted(codes & covers.keys())}
            row.save(update_fields=["covers"])


class Migration(migrations.Migration):
    dependencies = [("tokens", "0009_what_named_scopes_cover")]

    operations = [migrations.RunPython(keep_what_is_covered, migrations.RunPython.noop)]
