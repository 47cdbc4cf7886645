"""Health: alive without asking anything; ready only with database, migrations and every key that rows need."""

import base64

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import OperationalError

from tests import factories
from tests.catalogues import entry, save, tamper
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

K2 = "k2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="


def test_alive_without_the_database(client):
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready_when_all_is_there(client):
    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ok", "problems": []})


@pytest.fixture
def token(application):
    record = factories.launch(application)
    return factories.token(record.installation, record.portal_user)


def problems(client):
    response = client.get("/readyz")
    assert response.status_code == 503
    body = response.json()
    assert body["status"] == "not ready"
    return body["problems"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY"])
@pytest.mark.parametrize("value", ["", "k1:not-a-key"])
def test_not_ready_without_a_usable_key(client, settings, name, value):
    setattr(settings, name, value)

    assert problems(client) == [f"{name} is not usable"]


def test_not_ready_while_rows_need_a_missing_key(client, token, settings):
    settings.TOKEN_KEYS = K2

    assert problems(client) == ["rows need the key 'k1' of TOKEN_KEYS, which is missing"]


def test_ready_while_the_old_key_is_still_there(client, token, settings):
    settings.TOKEN_KEYS = f"{K2},{settings.TOKEN_KEYS}"

    assert client.get("/readyz").status_code == 200


def test_tombstones_need_no_key(client, token, settings):
    revoke_tokens(
        target=RevocationTarget.of_installation(token.installation_id),
        actor=factories.superactor(),
        reason="For a test.",
    )
    settings.TOKEN_KEYS = K2

    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_not_ready_while_the_catalogue_is_damaged(client):
    save(entry())
    assert client.get("/readyz").status_code == 200
    tamper("document", "damaged <secret>")

    (problem,) = problems(client)

    assert problem.startswith("edition 1 of the scope catalogue is damaged, so every call is denied: run manage.py ")
    assert "secret" not in problem


@pytest.mark.django_db
def test_not_ready_while_a_migration_is_missing(client):
    recorder = MigrationRecorder(connection)
    names = list(recorder.migration_qs.filter(app="tokens").values_list("name", flat=True))
    assert client.get("/readyz").status_code == 200

    recorder.migration_qs.filter(app="tokens").delete()
    assert problems(client) == ["migrations are missing: run manage.py migrate"]

    for name in names:
        recorder.record_applied("tokens", name)
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_not_ready_while_the_database_does_not_answer(client):
    def refuse(*_args):
        raise OperationalError("connection refused: password=secret host=db.internal")

    with connection.execute_wrapper(refuse):
        assert problems(client) == ["the database does not answer"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_reading_methods_are_answered(client, path):
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_not_ready_while_a_second_factor_needs_a_missing_key(client, superuser, settings):
    TOTP.activate(superuser, "JBSWY3DPEHPK3PXP")
    settings.TOKEN_KEYS = "k9:" + base64.b64encode(bytes(range(100, 132))).decode()

    assert problems(client) == ["rows need the key 'k1' of TOKEN_KEYS, which is missing"]
