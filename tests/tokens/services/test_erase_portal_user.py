"""Erasing a portal user: the name goes everywhere, what is stored is cut, the trail stays whole."""

import json
import threading
from typing import Any

import pytest
from django.apps import apps
from django.db import connections, transaction

from installations import audit
from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import AuditEvent, PortalUser
from installations.services import lock
from installations.trail.verifying import DatabaseVerification
from tests import factories
from tests.held import wait_for_waiting
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.models import EmbedSession, OAuthToken, Revocation
from tokens.services.erasing import Erasure, erase_portal_user

pytestmark = pytest.mark.django_db
NAME = "Ana Ruiz"


@pytest.fixture
def everywhere(application: Any) -> Any:
    """A user with tokens and sessions in two applications of one portal, beside another user."""
    other = factories.application("com.example.other")
    first, second = factories.launch(application), factories.launch(other)
    bea = factories.launch(application, user_id="8", name="Bea")
    for record, name in ((first, "first"), (second, "second"), (bea, "third")):
        token = factories.token(record.installation, record.portal_user, name)
        EmbedSession.objects.create(
            token_hash=name.encode().hex().ljust(64, "0"), oauth_token=token, expires_at="2999-01-01T00:00:00Z"
        )
    return first


def rows_with(text: str) -> list[str]:
    models = [*apps.get_app_config("installations").get_models(), *apps.get_app_config("tokens").get_models()]
    return [
        f"{model.__name__} {row}"
        for model in models
        for row in model._default_manager.values()
        if text in json.dumps(row, default=str)
    ]


def test_name_is_in_no_row_and_everything_stored_is_cut(everywhere: Any, responding: Any) -> None:
    assert len(rows_with(NAME)) == 1
    before = list(AuditEvent.objects.order_by("sequence").values())

    result = erase_portal_user(portal_user_id=everywhere.portal_user.pk, actor=responding, reason="They asked.")

    assert result == Erasure(tokens_cut=2, sessions_ended=2)
    assert rows_with(NAME) == []
    user = PortalUser.objects.get(flowlu_user_id="7")
    assert (user.name, user.is_portal_admin, user.erased_at is not None) == ("", False, True)
    assert OAuthToken.objects.live().get().portal_user.flowlu_user_id == "8"
    assert EmbedSession.objects.get(ended_at=None).oauth_token.portal_user.name == "Bea"
    assert Revocation.objects.filter(scope="portal_user").count() == 2
    assert list(AuditEvent.objects.order_by("sequence").values())[: len(before)] == before
    assert recorded()[-3:] == ["tokens.revoked", "tokens.revoked", "portaluser.erased"]
    event = last_event()
    assert (event.target_kind, event.target_id, event.reason) == ("portaluser", "acme.flowlu.com/7", "They asked.")
    assert event.details == {"tokens_cut": 2, "sessions_ended": 2}
    assert list(DatabaseVerification(audit.audit_keys())) == []


def test_second_time_changes_nothing(everywhere: Any, responding: Any) -> None:
    erase_portal_user(portal_user_id=everywhere.portal_user.pk, actor=responding, reason="They asked.")
    with nothing_changes():
        assert erase_portal_user(portal_user_id=everywhere.portal_user.pk, actor=responding, reason="Again.") is None


def test_later_visit_is_a_new_one_and_a_lock_stays(everywhere: Any, responding: Any) -> None:
    lock(target=everywhere.portal_user, actor=responding, reason="First.")
    erase_portal_user(portal_user_id=everywhere.portal_user.pk, actor=responding, reason="They asked.")
    assert PortalUser.objects.get(flowlu_user_id="7").locked_at is not None

    factories.launch(everywhere.installation.application, name="Ana R.")

    user = PortalUser.objects.get(flowlu_user_id="7")
    assert (user.name, user.erased_at) == ("Ana R.", None)
    assert erase_portal_user(portal_user_id=user.pk, actor=responding, reason="Again.") == Erasure(0, 0)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_first_launch_of_another_application_beside_it_leaves_nothing(application: Any) -> None:
    other = factories.application("com.example.other")
    known = factories.launch(application)
    factories.token(known.installation, known.portal_user, "first")
    erased: list[Erasure | None] = []

    def erase() -> None:
        try:
            who = factories.superactor()
            erased.append(erase_portal_user(portal_user_id=known.portal_user.pk, actor=who, reason="They asked."))
        finally:
            connections.close_all()

    worker = threading.Thread(target=erase)
    with transaction.atomic():
        new = factories.launch(other)
        factories.token(new.installation, new.portal_user, "second")
        worker.start()
        wait_for_waiting()  # for the portal: the new installation cannot be seen yet
    worker.join(20)

    assert erased == [Erasure(tokens_cut=2, sessions_ended=0)]
    assert not OAuthToken.objects.live().exists()
    assert rows_with(NAME) == []


def test_who_may_not_is_refused(everywhere: Any, unpermitted: Any) -> None:
    with nothing_changes(), pytest.raises(NotPermitted):
        erase_portal_user(portal_user_id=everywhere.portal_user.pk, actor=unpermitted, reason="They asked.")


def test_reviewer_is_refused(everywhere: Any, reviewing: Any) -> None:
    with nothing_changes(), pytest.raises(NotPermitted):
        erase_portal_user(portal_user_id=everywhere.portal_user.pk, actor=reviewing, reason="They asked.")


def test_reason_and_user_must_be_there(everywhere: Any, responding: Any) -> None:
    with nothing_changes(), pytest.raises(ReasonRequired):
        erase_portal_user(portal_user_id=everywhere.portal_user.pk, actor=responding, reason="")
    with nothing_changes(), pytest.raises(StateConflict, match="no such portal user"):
        erase_portal_user(portal_user_id=10**6, actor=responding, reason="They asked.")
