"""A rewrap that is killed at any point leaves every secret readable and goes on; beside it the service runs as ever."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.test import override_settings

from flowlu_admin.sessions import SessionStore
from installations.models import AuditEvent, Installation
from tests import factories
from tests.security.races.conftest import Page
from tests.security.races.workers import _ROOT, ROUNDS, Workers, database_url
from tests.tokens.keyring import F1, F2, K1, K2, SEED, codes_of, with_second_factors
from tests.tokens.services.test_rewrap_tokens import api_key, opened
from tokens import key_report, vault
from tokens.models import ApiKey, KeyRecord, OAuthToken
from tokens.sealed_rows import rings
from tokens.sealing import Context, fingerprints, unseal

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]

OLD, NEW = {"TOKEN_KEYS": K1, "FINGERPRINT_KEY": F1}, {"TOKEN_KEYS": f"{K2},{K1}", "FINGERPRINT_KEY": f"{F2},{F1}"}
ONLY_NEW = {"TOKEN_KEYS": K2, "FINGERPRINT_KEY": F2}
BY = ("--operator", "root", "--reason", "A rotation.")


class Killed:
    """The process of `killed.py`, under the new keys."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.security.races.killed"],
            cwd=_ROOT,
            env=os.environ | NEW | {"DATABASE_URL": database_url(), "DATABASE_POOL_SIZE": "2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def run(self, batch: int, **kill: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        command = ["rewrap_tokens", "--batch", str(batch), *BY]
        self.process.stdin.write(json.dumps({"command": command, **kill}) + "\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert "broken" not in told, told
        return told


@pytest.fixture
def killed(transactional_db: None) -> Iterator[Killed]:
    found = Killed()
    yield found
    found.process.kill()
    found.process.wait()


class Vault:
    """Secrets of every kind that is sealed, what each is, and the rows as they were under the old keys."""

    def __init__(self, tokens: int, monkeypatch: Any) -> None:
        monkeypatch.setattr("tokens.services.storing.MAX_LIVE_TOKENS", tokens + 1)
        self.root = factories.operator("root", superuser=True)
        record = factories.launch(factories.application())
        type(record.installation.application).objects.update(stores_refresh_tokens=True)
        Installation.objects.update(status="active")
        installation = Installation.objects.get()
        self.tokens = [
            factories.token(installation, record.portal_user, f"access-{number}", refresh_token=f"refresh-{number}")
            for number in range(tokens)
        ]
        self.key = api_key(record)
        with_second_factors(self.root)
        self.codes = codes_of(self.root)
        session = SessionStore()
        session["said"] = "something"
        session.create()
        self.session_key = session.session_key
        self._rows = [
            (model, list(model._default_manager.all())) for model in (OAuthToken, ApiKey, Authenticator, Session)
        ]

    def reset(self) -> None:
        KeyRecord.objects.all().delete()
        for _model, rows in self._rows:
            for row in rows:
                row.save()

    def check(self) -> None:
        """Fail unless every secret unseals to what it was, and each fingerprint is that of its secret."""
        for number, row in enumerate(self.tokens):
            assert opened(row) == (f"access-{number}", f"refresh-{number}")
            made = {found.key_id: found.digest for found in _prints(f"access-{number}")}
            assert row.access_fingerprint == made[row.fingerprint_key_id]
            made = {found.key_id: found.digest for found in _prints(f"refresh-{number}")}
            assert row.refresh_fingerprint == made[row.fingerprint_key_id]
        self.key.refresh_from_db()
        context = Context("tokens.ApiKey", str(self.key.uuid), "sealed_key")
        assert unseal(self.key.sealed_key, context, vault.token_keys()) == "an-api-key"
        factor = Authenticator.objects.get(user=self.root, type="totp")
        assert get_adapter().decrypt(factor.data["secret"]) == SEED
        assert codes_of(self.root) == self.codes
        assert SessionStore(self.session_key).load() == {"said": "something"}


def _prints(value: str) -> Any:
    return fingerprints(value, vault.fingerprint_keys())


def complete() -> bool:
    return not key_report.outdated(rings())


def test_killed_before_and_after_each_statement_it_resumes(killed: Killed, monkeypatch: Any) -> None:
    with override_settings(**OLD):
        secrets = Vault(3, monkeypatch)
    with override_settings(**NEW):
        statements = killed.run(2)["statements"]
        assert complete()
        secrets.check()
        assert statements > 40
        points = [(number, when) for number in range(1, statements + 1) for when in ("before", "after")]
        # `make stress` tries both sides of every statement; here every third side.
        points = points if ROUNDS > 100 else points[::3]
        left_work = 0

        for statement, when in points:
            secrets.reset()

            assert killed.run(2, statement=statement, when=when)["killed"] is True, (statement, when)

            secrets.check()
            left_work += not complete()
            if statement % 7 == 0:
                assert killed.run(2)["killed"] is False
                with override_settings(**ONLY_NEW):
                    secrets.check()

        assert killed.run(2)["killed"] is False
        assert complete()
    with override_settings(**ONLY_NEW):
        secrets.check()
    assert left_work > len(points) // 2, "hardly any kill came before the end: nothing was shown"


def test_killed_at_any_moment_it_resumes(killed: Killed, monkeypatch: Any) -> None:
    with override_settings(**OLD):
        secrets = Vault(150, monkeypatch)
    lasts, cut_short, chance = 1.0, 0, random.Random(7)
    with override_settings(**NEW):
        for _round in range(min(ROUNDS, 200)):
            secrets.reset()
            told = killed.run(20, seconds=chance.random() * lasts)
            cut_short += told["killed"]
            if not told["killed"]:
                lasts *= 0.9
            secrets.check()
        assert killed.run(20)["killed"] is False
        assert complete()
    assert cut_short > 0
    with override_settings(**ONLY_NEW):
        secrets.check()


def test_calls_hand_overs_and_revocations_go_on_beside_it(workers: Workers, page: Page) -> None:
    rings_by_turn = [{"token_keys": f"{K2},{K1}", "fingerprint_key": f"{F2},{F1}"}]
    rings_by_turn.append({"token_keys": f"{K1},{K2}", "fingerprint_key": f"{F1},{F2}"})

    def race(number: int) -> Any:
        keys = rings_by_turn[number % 2]
        page.open()
        workers.at_once(*[{"job": "use_keys", **keys} for _ in range(4)])
        row = page.token
        orders = [{"job": "rewrap"}, page.call(), page.hand_over(page.another_pair())]
        if number % 3 == 2:
            orders.append({"job": "revoke", "installation": page.installation.pk, "token": row.pk})
        rewrapped, called, handed_over, *revoked = workers.at_once(*orders)

        row.refresh_from_db()
        if revoked:
            assert (row.state, row.sealed_access_token, row.sealed_refresh_token) == ("revoked", None, None)
            assert called.status in {200, 401}
            assert handed_over.status in {204, 401}
        else:
            assert (called.status, handed_over.status, row.state) == (200, 204, "active")
            with override_settings(**NEW):
                opened(row)
        assert rewrapped.value["left_alone"] == 0
        assert not AuditEvent.objects.filter(verb="token.undecryptable").exists()
        return (called.status, handed_over.status)

    try:
        workers.rounds(race)
    finally:
        workers.at_once(*[{"job": "use_keys", "token_keys": K1, "fingerprint_key": F1} for _ in range(8)])
