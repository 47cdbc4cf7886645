"""`set_allowed_origins`: replaces the list, says what is allowed now, and refuses by name what is no origin."""

import pytest
from django.core.management import CommandError

from installations.errors import NotPermitted
from tests.unchanged import last_event, nothing_changes

BY = ("--operator", "reviewer", "--reason", "Our frontend moved.")
APP = ("--app", "com.example.desk")


def test_list_is_told_and_repeated_it_changes_nothing(application, reviewer, run):
    given = ("https://b.example", "https://A.example")
    assert run("set_allowed_origins", *APP, *given, *BY) == (
        f"{application}: allows https://a.example, https://b.example\n"
    )
    event = last_event()
    assert (event.verb, event.via, event.reason) == ("application.origins_set", "command", "Our frontend moved.")

    with nothing_changes():
        assert run("set_allowed_origins", *APP, *given, *BY) == (
            f"{application}: allowed https://a.example, https://b.example already\n"
        )


def test_without_origins_the_list_is_emptied(application, reviewer, run):
    run("set_allowed_origins", *APP, "https://a.example", *BY)

    assert run("set_allowed_origins", *APP, *BY) == f"{application}: allows no origin but this service's own\n"


def test_what_is_no_origin_is_named(application, reviewer, run):
    with nothing_changes(), pytest.raises(CommandError) as caught:
        run("set_allowed_origins", *APP, "https://a.example", "https://b.example/", *BY)

    assert caught.value.returncode == 1
    assert str(caught.value) == (
        "https://b.example/: must end after the host and port: leave out the path, also a slash at the end."
    )


def test_unknown_application_is_refused(application, reviewer, run):
    with nothing_changes(), pytest.raises(CommandError, match="No application 'com.example.none' is registered"):
        run("set_allowed_origins", "--app", "com.example.none", "https://a.example", *BY)


def test_who_may_not_is_refused_and_that_is_recorded(application, responder, run):
    with pytest.raises(CommandError, match=NotPermitted.public_message[:20]):
        run("set_allowed_origins", *APP, "https://a.example", "--operator", "responder", "--reason", "Ok.")

    application.refresh_from_db()
    assert application.allowed_origins == []
    assert (last_event().verb, last_event().target_id) == ("attempt.refused", "com.example.desk")


@pytest.mark.parametrize("missing", ["--app", "--operator", "--reason"])
def test_application_operator_and_reason_must_be_given(application, reviewer, run, missing):
    given = {"--app": "com.example.desk", "--operator": "reviewer", "--reason": "Ok."}
    del given[missing]

    with nothing_changes(), pytest.raises(CommandError, match=f"required: {missing}"):
        run("set_allowed_origins", "https://a.example", *(part for pair in given.items() for part in pair))
