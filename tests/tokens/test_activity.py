"""A session's last use is written off the request path, and not after every call."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from installations.models import Application
from tests import factories
from tokens import activity, selectors
from tokens.models import EmbedSession

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
    assert timezone.now() - session.last_used_at < timedelta(seconds=5)


def test_recent_use_is_not_written_again(application: Application, django_assert_num_queries: Any) -> None:
    open_session(application, timedelta(seconds=1))
    caller = selectors.caller_of("s")
    assert caller is not None
    activity.note_use(caller)

    with django_assert_num_queries(0):
        activity.flush()
