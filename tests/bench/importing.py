"""Moving a table of tokens in: rows a second and peak memory, beside asking Flowlu alone whose each of them is."""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from django.test import override_settings

from installations.flowlu.configured import flowlu_client
from tests import factories
from tests.bench.figures import Figure, run_command
from tests.bench.load import free_port, make_certificate, nginx, served
from tokens.models import OAuthToken

_PORTAL = "acme.flowlu.com"
# It says that a token is of the user whose number it begins with.
_PORTAL_THAT_KNOWS = """
  map $http_authorization $user {{ ~^Bearer\\ (?<number>\\d+)- $number; }}
  server {{
    listen 127.0.0.1:{port} ssl backlog=1024; ssl_certificate {certificate}; ssl_certificate_key {key};
    default_type application/json;
    location / {{ return 200 '{{"response": {{"id": "$user", "name": "One of many", "role_admin": 0}}}}'; }}
  }}
"""


def measure(scale: float) -> Iterator[Figure]:
    factories.operator("bench", superuser=True)
    factories.purpose()
    application = factories.application()
    type(application).objects.update(stores_refresh_tokens=True)
    factories.installation(application, approved=["crm.accounts.full"], portal=_PORTAL)
    few, many = max(10, int(1_000 * scale)), max(100, int(10_000 * scale))
    with tempfile.TemporaryDirectory() as made:
        folder, port = Path(made), free_port()
        os.environ["BENCH_LOGS"] = made
        certificate, key = make_certificate(folder)
        stub = nginx(folder, port, _PORTAL_THAT_KNOWS.format(port=port, certificate=certificate, key=key))
        every = ",".join(map(str, range(os.cpu_count() or 1)))
        at = {"FLOWLU_PORTAL_URL": f"https://127.0.0.1:{port}", "SSL_CERT_FILE": str(certificate)}
        with served(stub, port, every):
            os.environ |= at
            with override_settings(FLOWLU_PORTAL_URL=at["FLOWLU_PORTAL_URL"], FLOWLU_PORTAL_URL_IS_SET=True):
                asking = _asking_alone(few)
            peaks = []
            for first, rows in ((1, few), (few + 1, many)):
                table = folder / f"{rows}.jsonl"
                _write(table, range(first, first + rows))
                before = OAuthToken.objects.count()
                ended = run_command("import_tokens", str(table), "--operator", "bench", "--reason", "A bench.")
                assert OAuthToken.objects.count() == before + rows, ended.output[-1000:]
                peaks.append(ended.peak_mib)
                took = f"{ended.seconds:.1f} s with the start"
                yield Figure(
                    f"import {rows:,} pairs", rows / ended.seconds, "rows/s", "asking Flowlu alone", asking, took
                )
    yield Figure(f"peak memory: import {many:,} pairs", peaks[1], "MiB", f"of {few:,}", peaks[0])


def _write(table: Path, users: range) -> None:
    with table.open("w", encoding="utf-8") as lines:
        for number in users:
            line = {
                "portal": _PORTAL,
                "app_id": factories.APP_ID,
                "user_id": str(number),
                "access_token": f"{number}-{secrets.token_urlsafe(32)}",
                "refresh_token": secrets.token_urlsafe(32),
                "expires_at": "2030-01-01 10:15:20",
            }
            lines.write(json.dumps(line) + "\n")


def _asking_alone(rows: int) -> float:
    began = time.monotonic()
    for number in range(rows):
        assert flowlu_client().current_user(_PORTAL, f"{number + 1}-of-nobody").id == str(number + 1)
    return rows / (time.monotonic() - began)
