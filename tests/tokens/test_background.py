"""Background work: at once without a broker, in a real worker with one, ids only, and never in anybody's way."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
import redis
from celery import current_app
from django.db import transaction

from tests import factories
from tests.refreshed import page
from tests.security.races.workers import database_url
from tokens.background import after_commit
from tokens.models import OAuthToken, UpstreamRevocation
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

ROOT = Path(__file__).resolve().parents[2]
BROKER = "redis://127.0.0.1:6379/13"
# One queue for all: its tests run one after the other.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("queue")]


def _speak_to(url: str, *, at_once: bool) -> None:
    """Name the broker, and forget the connections of the one before: Celery keeps those of the first in a process."""
    current_app.conf.update(broker_url=url, task_always_eager=at_once)
    current_app._pool = current_app.amqp._producer_pool = None
    kombu.pools.reset()


@contextmanager
def broker(url: str) -> Iterator[None]:
    before = current_app.conf.broker_url, current_app.conf.task_always_eager
    _speak_to(url, at_once=False)
    try:
        yield
    finally:
        _speak_to(before[0], at_once=before[1])


@pytest.fixture
def queue(settings: Any) -> Any:
    """A broker with an empty queue."""
    try:
        socket.create_connection(("127.0.0.1", 6379), 1).close()
    except OSError:
        pytest.skip("needs a Redis on 127.0.0.1:6379")
    link = redis.Redis.from_url(BROKER)
    link.delete("celery")
    with broker(BROKER):
        yield link
    link.delete("celery")


def revoke() -> None:
    token = OAuthToken.objects.get()
    target = RevocationTarget.of_installation(token.installation_id)
    revoke_tokens(target=target, actor=factories.superactor(), reason="A test.")


def test_messages_are_json_and_the_tasks_are_known() -> None:
    assert {"tokens.tell_upstream", "tokens.sweep"} <= set(current_app.tasks)
    assert current_app.conf.task_serializer == "json"
    assert current_app.conf.accept_content == ["json"]
    assert current_app.conf.task_always_eager is True
    assert [entry["task"] for entry in current_app.conf.beat_schedule.values()] == ["tokens.sweep"]


def test_nothing_is_asked_for_before_the_commit(monkeypatch: Any) -> None:
    asked = []
    monkeypatch.setattr("tokens.background._ask", lambda task, ids: asked.append((task, ids)))

    with transaction.atomic():
        after_commit("tokens.tell_upstream", 7)
        assert asked == []
    assert asked == [("tokens.tell_upstream", (7,))]


def test_queued_message_holds_the_id_and_no_secret(queue: Any, revoking: Any, application: Any, api: Any) -> None:
    jose = page(revoking, application, api)

    revoke()

    assert UpstreamRevocation.objects.get().state == "pending"
    [raw] = queue.lrange("celery", 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == "tokens.tell_upstream"
    assert json.loads(_decoded(message["body"]))[0] == [UpstreamRevocation.objects.get().revocation_id]
    for secret in (jose.pair.access_token, jose.pair.refresh_token, jose.session_token):
        assert secret not in raw.decode() + _decoded(message["body"])


def test_broker_that_is_away_holds_nobody_up(revoking: Any, application: Any, api: Any, all_logs: Any) -> None:
    page(revoking, application, api)
    with broker("redis://127.0.0.1:9/0"):
        revoke()

    assert OAuthToken.objects.get().state == "revoked"
    assert "tokens.tell_upstream was not queued" in all_logs.text


@pytest.mark.postgresql
def test_real_worker_tells_flowlu(queue: Any, revoking: Any, application: Any, api: Any) -> None:
    jose = page(revoking, application, api)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings_test",
        "DATABASE_URL": database_url(),
        "DATABASE_POOL_SIZE": "2",
        "CELERY_BROKER_URL": BROKER,
        "FLOWLU_PORTAL_URL": revoking.portal_url_template,
        "FLOWLU_REVOCATION_URL": revoking.revocation_url,
        "FLOWLU_CLIENT_ID": revoking.state.oauth.client_id,
        "FLOWLU_CLIENT_SECRET": revoking.state.oauth.client_secret,
    }
    command = [sys.executable, "-m", "celery", "-A", "tests.celery_on_http", "worker", "-c", "1", "-l", "INFO"]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        revoke()
        give_up_at = time.monotonic() + 60
        while UpstreamRevocation.objects.get().state == "pending" and time.monotonic() < give_up_at:
            time.sleep(0.2)
    finally:
        worker.terminate()
        told = worker.communicate(timeout=60)[0].decode()

    assert UpstreamRevocation.objects.get().state == "confirmed", told
    assert revoking.state.is_live(jose.pair.access_token) is False
    for secret in (jose.pair.access_token, jose.pair.refresh_token, revoking.state.oauth.client_secret):
        assert secret not in told


def _decoded(body: str) -> str:
    return base64.b64decode(body).decode()
