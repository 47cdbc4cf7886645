"""Needs re-approval: where it is said, and the page on which an operator keeps what is approved."""

from typing import Any

import pytest

from installations.models import Installation
from installations.services import withhold_scopes
from tests import factories
from tests.installations.admin.console import messages, signed_in, text, url
from tests.unchanged import last_event, nothing_changes
from tokens.services.revocation import uninstall_installation


@pytest.fixture
def asking(active: Installation) -> Installation:
    """An installation whose application asks for more than was decided about."""
    factories.application(permissions=[*factories.SCOPES, "users.read", "nope.full"], version="2.0.0")
    active.refresh_from_db()
    return active


def address(installation: Installation) -> str:
    return url("installations_installation_withhold", object_id=installation.pk)


def test_list_page_and_overview_say_that_it_needs_re_approval(
    auditor: Any, asking: Installation, application: Any
) -> None:
    factories.installation(application, portal="globex.flowlu.com")  # pending: it waits anyway
    client = signed_in(auditor)

    page = text(client.get(url("installations_installation_change", asking.pk)))
    listed = text(client.get(url("installations_installation_changelist"), {"decision": "anew"}))
    overview = client.get(url("index"))

    assert "needs re-approval" in page
    assert "Active, and the manifest asks for more than was decided about." in page
    assert "users new, at level read" in page
    assert "nope.full new and not in the catalogue: it grants nothing here" in page
    assert "acme.flowlu.com" in listed
    assert "globex.flowlu.com" not in listed
    assert "1 installation needs a decision about more scopes" in text(overview)
    assert f"{url('installations_installation_changelist')}?decision=anew" in overview.content.decode()


def test_nothing_is_said_of_one_that_is_gone(auditor: Any, asking: Installation) -> None:
    Installation.objects.filter(pk=asking.pk).update(left_to_operator=True)
    uninstall_installation(installation_id=asking.pk, actor=factories.superactor(), reason="Gone.")

    client = signed_in(auditor)
    for page in (url("installations_installation_change", asking.pk), url("installations_installation_changelist")):
        assert "needs a decision" not in text(client.get(page))


def test_nothing_is_said_once_it_is_decided(auditor: Any, asking: Installation) -> None:
    withhold_scopes(installation_id=asking.pk, actor=factories.superactor(), reason="Not needed.")
    client = signed_in(auditor)

    for where in (url("installations_installation_change", asking.pk), url("index")):
        assert "needs re-approval" not in text(client.get(where))
    listed = client.get(url("installations_installation_changelist"), {"decision": "anew"})
    assert listed.context["cl"].result_count == 0


def test_operator_keeps_what_is_approved(reviewer: Any, asking: Installation) -> None:
    client = signed_in(reviewer)
    page = client.get(address(asking))
    body = {"seen_manifest": page.context["form"]["seen_manifest"].value(), "reason": "Not needed."}

    response = client.post(address(asking), body, follow=True)

    assert "users new, at level read" in text(page)
    assert messages(response) == ["Withheld: 2 scopes. What is approved goes on."]
    assert (last_event().verb, last_event().actor_name) == ("scopes.withheld", "reviewer")
    assert b"Keep what is approved" not in response.content


def test_act_is_offered_only_where_there_is_something_to_decide(
    reviewer: Any, auditor: Any, asking: Installation
) -> None:
    page = url("installations_installation_change", asking.pk)
    assert address(asking) in signed_in(reviewer).get(page).content.decode()
    assert address(asking) not in signed_in(auditor).get(page).content.decode()

    with nothing_changes():
        assert signed_in(auditor).get(address(asking)).status_code == 403


def test_manifest_that_was_replaced_meanwhile_is_shown_and_asked_about_again(
    reviewer: Any, asking: Installation
) -> None:
    seen = asking.manifest.sha256
    factories.application(permissions=[*factories.SCOPES, "users.read", "fin.full"], version="3.0.0")

    with nothing_changes():
        response = signed_in(reviewer).post(address(asking), {"seen_manifest": seen, "reason": "Not needed."})

    assert "was replaced while you were reading it" in text(response)
    assert "fin from read to full" in text(response)
    decided_about = response.context["form"]["seen_manifest"].value()
    asking.refresh_from_db()
    # What was sent stays in the form, so that sending it again is refused as well: the page has to be opened anew.
    assert decided_about == seen != asking.manifest.sha256
    assert "Start again with the current manifest" in text(response)


def test_second_decision_changes_nothing(reviewer: Any, asking: Installation) -> None:
    body = {"seen_manifest": asking.manifest.sha256, "reason": "Not needed."}
    client = signed_in(reviewer)
    client.post(address(asking), body, follow=True)

    with nothing_changes():
        response = client.post(address(asking), body, follow=True)

    assert messages(response) == ["Nothing changed: the manifest asks for nothing that was not decided about."]
