"""Saying from which origins pages may use an application: who may, what is kept, what is recorded."""

import pytest

from installations.cross_origin import origins_of, origins_of_all, set_allowed_origins
from installations.errors import InvalidRequest, NotPermitted, ReasonRequired, StateConflict
from installations.models import Application
from installations.origins import MAX_ORIGINS
from installations.seen import digest_of
from installations.services import lock, unlock
from tests import factories
from tests.unchanged import last_event, nothing_changes

ACTOR = factories.superactor()
WHY = {"actor": ACTOR, "reason": "For a test."}


def allow(application, *origins, **changes):
    return set_allowed_origins(application_id=application.pk, origins=origins, **(WHY | changes))


def test_no_origin_is_allowed_before_somebody_says_so(application):
    assert application.allowed_origins == []
    assert origins_of_all() == frozenset()


def test_list_is_kept_as_browsers_send_it_and_recorded(application, reviewer, reviewing):
    assert allow(application, "https://b.example", "HTTPS://A.example:443", actor=reviewing, reason="Agreed.") is True

    application.refresh_from_db()
    event = last_event()
    assert application.allowed_origins == ["https://a.example", "https://b.example"]
    assert (event.verb, event.target_kind, event.target_id) == (
        "application.origins_set",
        "application",
        "com.example.desk",
    )
    assert (event.reason, event.actor_id) == ("Agreed.", str(reviewer.pk))
    assert event.details == {
        "before": {"allowed_origins": []},
        "after": {"allowed_origins": ["https://a.example", "https://b.example"]},
    }


def test_list_replaces_the_one_before_and_may_be_empty(application):
    allow(application, "https://a.example", "https://b.example")
    allow(application, "https://b.example")
    application.refresh_from_db()
    assert application.allowed_origins == ["https://b.example"]

    assert allow(application) is True

    application.refresh_from_db()
    assert application.allowed_origins == []


def test_same_list_again_changes_nothing(application):
    allow(application, "https://a.example", "https://b.example")

    with nothing_changes():
        assert allow(application, "https://b.example", "https://A.example", "https://a.example") is False


def test_other_settings_and_other_applications_stay(application):
    other = factories.application("com.example.other")
    Application.objects.update(allowed_portals=["acme.flowlu.com"], stores_refresh_tokens=True)

    allow(application, "https://a.example")

    other.refresh_from_db()
    application.refresh_from_db()
    assert other.allowed_origins == []
    assert (application.allowed_portals, application.stores_refresh_tokens) == (["acme.flowlu.com"], True)


def test_each_text_that_is_no_origin_is_named_and_nothing_is_kept(application):
    with nothing_changes(), pytest.raises(InvalidRequest) as caught:
        allow(application, "https://a.example", "null", "https://b.example/", "http://localhost:3000")

    assert caught.value.fields.keys() == {"null", "https://b.example/", "http://localhost:3000"}


def test_own_machine_is_taken_on_a_development_machine(application, settings):
    settings.DEBUG = True

    assert allow(application, "http://localhost:3000") is True


def test_as_many_as_may_be_are_taken_and_one_more_is_not(application):
    most = [f"https://a{number}.example" for number in range(MAX_ORIGINS)]
    assert allow(application, *most, most[0]) is True

    with nothing_changes(), pytest.raises(InvalidRequest) as caught:
        allow(application, *most, "https://one-more.example")

    assert caught.value.fields == {"origins": "may be 30 at most, and these are 31"}


def test_without_the_permission_nothing_happens(application, unpermitted):
    with nothing_changes(), pytest.raises(NotPermitted):
        allow(application, "https://a.example", actor=unpermitted)


def test_without_a_reason_nothing_happens(application):
    with nothing_changes(), pytest.raises(ReasonRequired):
        allow(application, "https://a.example", reason=" ")


def test_list_that_is_no_longer_what_was_seen_stays(application):
    seen = digest_of(origins_of(application))
    allow(application, "https://a.example", seen=seen)

    with nothing_changes(), pytest.raises(StateConflict, match="changed while you were reading it"):
        allow(application, "https://b.example", seen=seen)


def test_origins_of_all_are_those_of_unlocked_applications(application, django_assert_num_queries):
    other = factories.application("com.example.other")
    factories.application("com.example.none")
    allow(application, "https://a.example", "https://shared.example")
    allow(other, "https://b.example", "https://shared.example")

    with django_assert_num_queries(1):
        assert origins_of_all() == {"https://a.example", "https://b.example", "https://shared.example"}

    lock(target=other, **WHY)
    assert origins_of_all() == {"https://a.example", "https://shared.example"}
    unlock(target=other, **WHY)
    assert "https://b.example" in origins_of_all()
