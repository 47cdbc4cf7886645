"""Configuring an application: what it keeps and where it may be used; switching off wipes at once."""

import threading

import pytest
from django.db import connections, transaction

from installations.errors import InvalidRequest, NotPermitted, ReasonRequired
from installations.models import Application, Installation
from tests import factories
from tests.held import wait_for_waiting
from tests.unchanged import last_event, nothing_changes
from tokens.models import OAuthToken
from tokens.services.revocation import configure_application

ACTOR = factories.superactor()


def configure(application, stores=False, portals=(), actor=ACTOR, reason="For a test."):
    return configure_application(
        application_id=application.pk,
        stores_refresh_tokens=stores,
        allowed_portals=portals,
        actor=actor,
        reason=reason,
    )


@pytest.fixture
def kept(application):
    """A stored pair with its refresh token, in an application that keeps them."""
    Application.objects.update(stores_refresh_tokens=True)
    record = factories.launch(application)
    Installation.objects.update(status="active")
    installation = Installation.objects.get(pk=record.installation.pk)
    return factories.token(installation, record.portal_user, refresh_token="a-refresh-token")


def test_both_settings_are_changed_and_recorded(application, reviewer, reviewing):
    assert configure(application, True, ["acme.flowlu.com"], reviewing, "Agreed.") is True

    application.refresh_from_db()
    event = last_event()
    assert (application.stores_refresh_tokens, application.allowed_portals) == (True, ["acme.flowlu.com"])
    assert (event.verb, event.target_kind) == ("application.configured", "application")
    assert (event.target_id, event.reason, event.actor_id) == ("com.example.desk", "Agreed.", str(reviewer.pk))
    assert event.details == {
        "before": {
            "stores_refresh_tokens": False,
            "allowed_portals": [],
            "refreshed_by": "frontend",
            "approval_policy": "manual",
        },
        "after": {
            "stores_refresh_tokens": True,
            "allowed_portals": ["acme.flowlu.com"],
            "refreshed_by": "frontend",
            "approval_policy": "manual",
        },
        "refresh_tokens_wiped": 0,
    }


def test_same_settings_again_change_nothing(application):
    configure(application, True, ["acme.flowlu.com", "globex.flowlu.com"])

    with nothing_changes():
        assert configure(application, True, ["GLOBEX.flowlu.com", "acme.flowlu.com", "acme.flowlu.com"]) is False


def test_portals_are_kept_normalised_and_in_order(application):
    configure(application, portals=["Globex.flowlu.com", "acme.flowlu.com"])

    application.refresh_from_db()
    assert application.allowed_portals == ["acme.flowlu.com", "globex.flowlu.com"]


def test_switching_off_wipes_the_refresh_tokens_that_are_stored(application, kept):
    configure(application, False)

    kept.refresh_from_db()
    assert kept.sealed_refresh_token is None
    assert (kept.state, kept.sealed_access_token is not None) == ("active", True)
    assert last_event().details["refresh_tokens_wiped"] == 1


def test_switching_off_leaves_other_applications(application, kept):
    other = factories.application("com.example.other")

    configure(other, True)
    configure(other, False)

    kept.refresh_from_db()
    assert kept.sealed_refresh_token is not None


def test_changing_portals_wipes_nothing(application, kept):
    configure(application, True, ["acme.flowlu.com"])

    assert OAuthToken.objects.get().sealed_refresh_token is not None


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_leaving_a_portal_out_waits_for_the_session_that_is_about_to_open_there(application, record):
    ended = []

    def leave_out():
        try:
            ended.append(configure(application, portals=["globex.flowlu.com"]))
        finally:
            connections.close_all()

    worker = threading.Thread(target=leave_out)
    with transaction.atomic():
        again = factories.launch(application)
        factories.token(again.installation, again.portal_user)
        worker.start()
        wait_for_waiting()
        assert ended == []
    worker.join(20)

    assert ended == [True]


def test_every_name_that_is_no_portal_is_named(application):
    with nothing_changes(), pytest.raises(InvalidRequest) as caught:
        configure(application, portals=["acme.flowlu.com", "evil.example", "acme.flowlu.com.evil.example", " "])

    assert set(caught.value.fields) == {"evil.example", "acme.flowlu.com.evil.example", " "}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(application, reason):
    with nothing_changes(), pytest.raises(ReasonRequired):
        configure(application, True, reason=reason)


def test_actor_without_the_permission_is_refused(application, unpermitted):
    with nothing_changes(), pytest.raises(NotPermitted):
        configure(application, True, actor=unpermitted)


def test_responder_may_not_configure(application, responding):
    with nothing_changes(), pytest.raises(NotPermitted):
        configure(application, True, actor=responding)


@pytest.fixture
def client_of_the_token_endpoint(settings):
    settings.FLOWLU_TOKEN_URL = "https://id.example.com/token"
    settings.FLOWLU_CLIENT_ID, settings.FLOWLU_CLIENT_SECRET = "us", "a-client-secret"


def refreshed_by(application, who, stores=True):
    return configure_application(
        application_id=application.pk,
        stores_refresh_tokens=stores,
        allowed_portals=[],
        refreshed_by=who,
        actor=ACTOR,
        reason="For a test.",
    )


@pytest.mark.parametrize("missing", ["FLOWLU_TOKEN_URL", "FLOWLU_CLIENT_ID", "FLOWLU_CLIENT_SECRET"])
def test_this_service_refreshes_only_where_it_is_a_client(application, settings, client_of_the_token_endpoint, missing):
    setattr(settings, missing, "")

    with nothing_changes(), pytest.raises(InvalidRequest) as refused:
        refreshed_by(application, "server")
    assert refused.value.fields == {
        "refreshed_by": "Set FLOWLU_TOKEN_URL, FLOWLU_CLIENT_ID and FLOWLU_CLIENT_SECRET first: without them it cannot "
        "refresh."
    }


def test_this_service_refreshes_only_what_it_keeps(application, client_of_the_token_endpoint):
    with nothing_changes(), pytest.raises(InvalidRequest):
        refreshed_by(application, "server", stores=False)
    with nothing_changes(), pytest.raises(InvalidRequest):
        refreshed_by(application, "nobody")


@pytest.mark.parametrize("before", ["frontend", "server"])
def test_another_refresher_wipes_what_the_first_one_kept(application, kept, client_of_the_token_endpoint, before):
    Application.objects.update(refreshed_by=before)
    after = "server" if before == "frontend" else "frontend"

    assert refreshed_by(application, after) is True
    assert refreshed_by(application, after) is False

    application.refresh_from_db()
    kept.refresh_from_db()
    assert (application.refreshed_by, kept.sealed_refresh_token, kept.state) == (after, None, "active")
    assert last_event().details["refresh_tokens_wiped"] == 1
