"""Known secrets go into the desk for leaked tokens and under the commands about keys; none of them comes out."""

import os
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.canary import Canaries
from tests.migrations.trying import ROOT, environment
from tests.security.canary_page import Page
from tests.security.scene import Scene
from tests.tokens.keyring import F2, K2
from tokens.key_report import Ring
from tokens.models import OAuthToken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(canary_page: Page) -> Page:
    return canary_page


@pytest.fixture
def scene(canary_scene: Scene) -> Scene:
    return canary_scene


def test_desk_for_leaked_tokens_gives_nothing_of_what_it_was_given(
    page: Page, scene: Scene, canaries: Canaries, logged: None
) -> None:
    """Stored tokens, strangers' and whole lines go in by every way there is; the page may name none of them."""
    strange = canaries.add("token of nobody", secrets.token_hex(24))
    lines = [*canaries.secrets.values(), f"GET /?access_token={strange} 200", f'{{"token": "{page.access_token}"}}']
    client = scene.client("responder")
    where = reverse("admin:tokens_oauthtoken_leaked")
    ways: list[dict[str, Any]] = [
        {"pasted": "\n".join(lines)},
        {"file": SimpleUploadedFile(f"{strange}.txt", "\n".join(lines).encode(), f"text/{strange}")},
        {"pasted": strange, "file": SimpleUploadedFile("x", strange.encode())},
        {"pasted": f"{strange}\n" * 10_001},
        {"cut": "yes", "token": [strange], "reason": ""},
        {strange: strange},
    ]
    for body in ways:
        answer = canaries.look_at_response("the desk", client.post(where, body))
        assert answer.status_code == 200
    for refused in ("auditor", "outsider", "anonymous"):
        answer = canaries.look_at_response("a refusal", scene.client(refused).post(where, ways[0]))
        assert answer.status_code in {302, 403}
    live = list(OAuthToken.objects.live().values_list("pk", flat=True))
    cut = {"cut": "yes", "token": live, "reason": "Found in a leak."}
    canaries.look_at_response("the cut", client.post(where, cut, follow=True))
    assert not OAuthToken.objects.live().exists()
    canaries.look_at_response("the desk after it", client.post(where, ways[0]))
    canaries.look_everywhere()


def test_commands_about_keys_and_leaks_print_no_secret(
    page: Page, scene: Scene, canaries: Canaries, logged: None, monkeypatch: Any, settings: Any, tmp_path: Any
) -> None:
    keys = {ring: getattr(settings, ring).partition(":")[2] or getattr(settings, ring) for ring in Ring.values}
    keys |= {"the next key": K2.partition(":")[2], "the next fingerprint key": F2.partition(":")[2]}
    for name, encoded in keys.items():
        canaries.add(name, encoded)
    leak = tmp_path / "leak.txt"
    leak.write_text("\n".join([*canaries.secrets.values(), f"Bearer {page.access_token}"]))
    damaged = OAuthToken.objects.live().order_by("pk").first()
    assert damaged is not None
    sealed = bytes(damaged.sealed_access_token or b"")
    OAuthToken.objects.filter(pk=damaged.pk).update(sealed_access_token=sealed[:-1] + bytes([sealed[-1] ^ 1]))
    settings.TOKEN_KEYS, settings.FINGERPRINT_KEY = f"{K2},{settings.TOKEN_KEYS}", f"{F2},1:{settings.FINGERPRINT_KEY}"
    by = ("--operator", "superuser", "--reason", "A test.")
    for line in (
        ("key_status",),
        ("find_leaked", str(leak), *by),
        ("rewrap_tokens", "--dry-run", *by),
        ("rewrap_tokens", *by),
        ("key_status",),
        ("find_leaked", str(leak), *by),
    ):
        out = StringIO()
        try:
            call_command(*line, stdout=out, stderr=out)
        except CommandError as error:
            canaries.look(f"the refusal of {line[0]}", error)
        canaries.look(f"the output of {line[0]}", out.getvalue())
    out, advice = StringIO(), StringIO()
    call_command("generate_key", stdout=out, stderr=advice)
    made = canaries.add("a key that was made", out.getvalue().strip().partition(":")[2])
    canaries.look("the advice of generate_key", advice.getvalue())
    assert made in out.getvalue()
    settings.TOKEN_KEYS = f"k2:{made}"  # the right id, another key; and one that rows need is gone
    canaries.look_at_response("/readyz", Client().get("/readyz"))
    _drill(canaries, tmp_path)
    strange = canaries.add("an API key of nobody", secrets.token_hex(24))
    for line in (
        ("doctor",),
        ("doctor", "--json"),
        ("doctor", "--portal", "acme.flowlu.com", "--pause", "0", "--with-key"),
    ):
        out = StringIO()
        monkeypatch.setattr("sys.stdin", StringIO(f"{page.access_token}\n{strange}\n"))
        try:
            call_command(*line, stdout=out, stderr=out)
        except CommandError as error:
            canaries.look(f"the refusal of {' '.join(line)}", error)
        canaries.look(f"the output of {' '.join(line)}", out.getvalue())
    canaries.look_everywhere()


def _drill(canaries: Canaries, folder: Path) -> None:
    """Have a backup looked through that holds every secret, a damaged token, and rows whose key is gone."""
    backup, own = folder / "backup", environment("sqlite://")
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(backup)) as target:
            connection.connection.backup(target)
    else:
        server = os.environ["DATABASE_URL"]
        here = urlsplit(server)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        subprocess.run(["pg_dump", "--format=custom", f"--file={backup}", f"--dbname={here}"], check=True)
        own |= {"DRILL_DATABASE_URL": server}
    line = [sys.executable, "manage.py", "restore_drill", str(backup), "--trust-dump"]
    said = subprocess.run(line, cwd=ROOT, env=own, capture_output=True, text=True)
    canaries.look("the output of restore_drill", said.stdout + said.stderr)
    assert "tokens: " in said.stdout
    assert "NOT good: keys, " in said.stderr
