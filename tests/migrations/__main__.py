"""`python -m tests.migrations`: write the database of the present release down (docs/releasing.md).

A made-up world, and one row at least of whatever the console shows, under the throw-away keys of the tests.
"""

import os
import sys
import tempfile
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django

from tests.migrations import released

ROOT = Path(__file__).resolve().parents[2]


def fill(folder: Path) -> None:
    """Fill the empty database that the settings name: a row at least in every table of ours."""
    import time_machine
    from allauth.mfa.adapter import get_adapter
    from allauth.mfa.models import Authenticator
    from django.contrib.auth import SESSION_KEY
    from django.core.management import call_command
    from django.utils import timezone

    from flowlu_admin.models import CompanyAccount, NoticeChoice, NoticeCondition, NoticeCursor, OperatorZone
    from flowlu_admin.sessions import SessionStore
    from installations.models import RefusedAttempts, SavedFilter
    from tests import factories
    from tests.security.scene import set_up
    from tokens.models import DayCount, SweepRun
    from tokens.services.keys import record_keys

    call_command("migrate", verbosity=0)
    with time_machine.travel(datetime(2024, 1, 1, tzinfo=UTC), tick=False):
        factories.application()
    call_command("seed", "--installations", "12", "--yes-this-database-is-for-trials")
    DayCount.objects.filter(pk__gt=20).delete()  # they are many, and all alike
    scene = set_up(factories.application())
    operator, now = scene.operators["superuser"], timezone.now()
    by = ("--operator", operator.username, "--reason", "For an archive.")
    call_command("prune_audit", "--before", "2024-06-01", "--archive", str(folder / "archive.jsonl"), *by)
    for factor in Authenticator.objects.all():
        factor.data = {"secret": get_adapter().encrypt("a seed of a second factor")}
        factor.save(update_fields=["data"])
    store = SessionStore()
    store[SESSION_KEY] = str(operator.pk)
    store.set_expiry(timedelta(days=365 * 100))  # so that it is still open when it is tried on
    store.save()
    record_keys()
    OperatorZone.objects.create(operator=operator, name="Europe/Madrid")
    CompanyAccount.objects.create(operator=operator, issuer="https://id.example.com", subject="7", groups=["Auditor"])
    SavedFilter.objects.create(operator=operator, list_name="tokens.oauthtoken", name="Mine", parameters={"q": ["a"]})
    NoticeChoice.objects.create(operator=operator, kind="waits", how="daily")
    NoticeCondition.objects.create(kind="trail", key="broken", began_at=now)
    NoticeCursor.objects.create(id=1, sequence=1, until=now)
    SweepRun.objects.create(name="sweep", started_at=now, finished_at=now)
    RefusedAttempts.objects.create(
        actor_kind="operator", actor_id="1", via="command", permission="tokens.rewrap_tokens", since=now, count=1
    )


def main() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    path = released.FOLDER / f"{version}.jsonl"
    if path.exists():
        sys.exit(f"There is one of {version}. It is made anew only until that release is tagged: remove it first.")
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "db.sqlite3"
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings_test",
            "DATABASE_URL": f"sqlite:///{database}",
        }
        django.setup()
        fill(Path(folder))
        released.write(version, database, path)
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
