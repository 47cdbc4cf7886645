"""Look through the scratch database that DATABASE_URL names, and write a line for each step, for restore_drill."""

import sys
from pathlib import Path

import django
from django.conf import settings

from flowlu_admin.restoring.steps import PREFIX, as_line


def main(anchor_file: str) -> None:
    name = str(settings.DATABASES["default"]["NAME"])
    if not Path(name).name.startswith(PREFIX):
        raise SystemExit("This migrates what it looks at, and is for the scratch database of restore_drill only.")
    django.setup()
    from flowlu_admin.restoring.inspection import inspect

    for step in inspect(anchor_file):
        sys.stdout.write(f"{as_line(step)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
