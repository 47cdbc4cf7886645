"""A session's last use is written off the request path, and not after every call."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone

from installations.models import Application
from tests import factories
from tokens import activity, flushing, selectors
from tokens.models import EmbedSession, ServiceClient

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    activity.flush()
    yield
    activity.flush()


def open_session(application: Application, used: timedelta) -> EmbedSession:
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    now = timezone.now()
    return EmbedSession.objects.create(
        token_hash=selectors.hash_session_token("s"),
        oauth_token=token,
        last_used_at=now - used,
        expires_at=now + timedelta(hours=1),
    )


def test_use_is_written_at_the_flush_and_not_before(application: Application, django_assert_num_queries: Any) -> None:
    session = open_session(application, timedelta(minutes=10))
    caller = selectors.caller_of("s")
    assert caller is not None

    with django_assert_num_queries(0):
        activity.note_use(caller)
    activity.flush()

    session.refresh_from_db()
    assert timezone.now() - session.last_used_at < timedelta(seconds=6)


def test_recent_use_is_not_written_again(application: Application, django_assert_num_queries: Any) -> None:
    open_session(application, timedelta(seconds=1))
    caller = selectors.caller_of("s")
    assert caller is not None
    activity.note_use(caller)

    with django_assert_num_queries(0):
        activity.flush()


def test_use_is_written_in_the_background(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushing, "FLUSH_SECONDS", 0.02)
    monkeypatch.setattr(flushing, "_thread_of_pid", None)  # as in a worker that was just forked
    session = open_session(application, timedelta(minutes=10))
    caller = selectors.caller_of("s")
    assert caller is not None

    for _ in range(3):
        activity.note_use(caller)

    deadline = time.monotonic() + 20
    while timezone.now() - session.last_used_at > timedelta(minutes=5):
        assert time.monotonic() < deadline
        time.sleep(0.02)
        session.refresh_from_db()
    assert flushing._thread_of_pid == os.getpid()


def test_process_has_one_thread_that_writes(application: Application) -> None:
    open_session(application, timedelta(minutes=10))
    caller = selectors.caller_of("s")
    assert caller is not None
    activity.note_use(caller)
    before = threading.active_count()

    activity.note_use(caller)

    assert threading.active_count() == before


def test_use_that_cannot_be_written_is_kept_for_the_next_time(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(*_call: Any) -> Any:
        raise OperationalError("the connection is lost")

    session = open_session(application, timedelta(minutes=10))
    caller = selectors.caller_of("s")
    assert caller is not None
    activity.note_use(caller)

    with connection.execute_wrapper(lost):
        activity.flush()
    used = EmbedSession.objects.get().last_used_at
    activity.flush()

    assert used == session.last_used_at
    assert [record.getMessage() for record in caplog.records if record.name == "tokens.activity"] == [
        "The last use of 1 sessions and clients could not be written; it is tried again."
    ]
    assert timezone.now() - EmbedSession.objects.get().last_used_at < timedelta(seconds=30)


def test_client_that_was_used_just_now_is_not_noted_again(django_assert_num_queries: Any) -> None:
    activity.note_client_use(1, timezone.now())

    with django_assert_num_queries(0):
        activity.flush()


def test_uses_of_one_second_are_written_in_one_statement_as_of_its_beginning(
    application: Application, django_assert_num_queries: Any
) -> None:
    first = open_session(application, timedelta(minutes=10))
    second, other, later = (
        EmbedSession.objects.create(
            token_hash=selectors.hash_session_token(text),
            oauth_token=first.oauth_token,
            last_used_at=first.last_used_at,
            expires_at=first.expires_at + timedelta(days=1),
        )
        for text in "tuv"
    )
    noon = (timezone.now() + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    EmbedSession.objects.filter(pk=other.pk).update(last_used_at=noon + timedelta(seconds=5))  # another process's
    for session, seconds in ((first, 1), (second, 1.9), (other, 1.5), (later, 3)):
        with time_machine.travel(noon + timedelta(seconds=seconds), tick=False):
            activity._note(EmbedSession, session.pk)

    with django_assert_num_queries(2):
        activity.flush()

    for session in (first, second, other, later):
        session.refresh_from_db()
    assert first.last_used_at == second.last_used_at == noon + timedelta(seconds=1)
    assert other.last_used_at == noon + timedelta(seconds=5)
    assert later.last_used_at == noon + timedelta(seconds=3)


def test_clients_first_use_is_written() -> None:
    factories.service_client()
    client = ServiceClient.objects.get()
    assert client.last_used_at is None
    activity.note_client_use(client.pk, None)

    activity.flush()

    client.refresh_from_db()
    assert client.last_used_at is not None
