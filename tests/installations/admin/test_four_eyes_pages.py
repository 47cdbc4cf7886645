"""Four eyes at the console: asked for on one page, confirmed on another, for one installation or many, or alone."""

import re
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission
from django.core import signing

from installations.approval_requests import MANY, confirm_request
from installations.catalogue import LevelMeaning
from installations.errors import NotPermitted
from installations.models import ApprovalRequest, ApprovedPermission, Installation, Portal
from installations.services import suspend_installation
from tests import catalogues, factories
from tests.installations.admin.console import confirm, messages, pin, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.services.revocation import uninstall_installation

LIST = "installations_installation_changelist"


@pytest.fixture(autouse=True)
def four_eyes(settings: Any) -> None:
    settings.FOUR_EYES = "on"


@pytest.fixture
def bob(db: None) -> Any:
    return factories.operator("bob", "Reviewer")


def approve(installation: Installation, act: str = "approve") -> str:
    return url(f"installations_installation_{act}", object_id=installation.pk)


def decision(installation: Installation, **more: str) -> dict[str, str]:
    return {"reason": "It needs the books.", "seen_manifest": installation.manifest.sha256, **more}


def ask(user: Any, installation: Installation) -> ApprovalRequest:
    body = decision(installation, **{"scope-fin": "fin.read"})
    response = confirm(signed_in(user), approve(installation), body, follow=True)
    request = ApprovalRequest.objects.get()
    assert messages(response) == [
        f"Asked for, not approved yet: a second operator has to confirm request #{request.pk} within 72 hours, since "
        "high risk is among it, by its words or its reach."
    ]
    return request


def page_of(request: ApprovalRequest, act: str = "change") -> str:
    key = {"object_id": request.pk} if act != "change" else {}
    args = [] if key else [request.pk]
    return url(f"installations_approvalrequest_{act}", *args, **key)


def test_approving_high_risk_asks_for_a_second_operator(reviewer: Any, pending: Installation) -> None:
    page = signed_in(reviewer).get(approve(pending))
    request = ask(reviewer, pending)

    assert "a second operator has to confirm it" in text(page)
    pending.refresh_from_db()
    assert pending.status == "pending_approval"
    here = signed_in(reviewer).get(url("installations_installation_change", pending.pk))
    assert "reviewer asked for fin.read: a second operator has to confirm it." in text(here)
    assert page_of(request) in here.content.decode()


def test_low_risk_is_approved_as_ever(reviewer: Any, pending: Installation) -> None:
    body = decision(pending, **{"scope-task": "task.read"})

    response = confirm(signed_in(reviewer), approve(pending), body, follow=True)

    assert messages(response) == ["Approved: task.read. The installation is active now."]


def test_same_request_again_says_who_asked(reviewer: Any, bob: Any, pending: Installation) -> None:
    request = ask(reviewer, pending)

    with nothing_changes():
        response = confirm(
            signed_in(bob), approve(pending), decision(pending, **{"scope-fin": "fin.read"}), follow=True
        )

    assert messages(response) == [
        f"Nothing changed: reviewer asked for the same already (request #{request.pk}). "
        "Another operator can confirm it."
    ]


def test_second_operator_reads_and_confirms(reviewer: Any, bob: Any, pending: Installation) -> None:
    request = ask(reviewer, pending)
    client = signed_in(bob)

    home = text(client.get(url("index")))
    page = text(client.get(page_of(request, "confirm")))
    response = client.post(page_of(request, "confirm"), {"reason": "Read it."}, follow=True)

    assert "1 approval waits for a second operator" in home
    assert "reviewer asked for this" in page
    assert "It needs the books." in page
    assert "acme.flowlu.com" in page
    assert messages(response) == ["Approved on 1 installation: fin.read. 1 installation became active."]
    row = ApprovedPermission.objects.get(installation=pending)
    assert (row.approved_by, row.confirmed_by) == ("reviewer", "bob")
    shown = text(client.get(url("installations_installation_change", pending.pk)))
    assert "by reviewer, confirmed by bob" in shown


def test_confirmation_is_offered_to_another_operator_while_it_can_be_done(
    reviewer: Any, bob: Any, pending: Installation
) -> None:
    request = ask(reviewer, pending)
    button = page_of(request, "confirm")

    assert button not in signed_in(reviewer).get(page_of(request)).content.decode()
    page = signed_in(bob).get(page_of(request))
    assert button in page.content.decode()
    assert "new, at level read" in text(page)

    uninstall_installation(installation_id=pending.pk, actor=factories.superactor(), reason="Gone.")
    page = signed_in(bob).get(page_of(request))
    assert button not in page.content.decode()
    assert f"Installation #{pending.pk} is uninstalled." in text(page)
    assert "cannot be confirmed any more" in text(signed_in(bob).get(url("installations_approvalrequest_changelist")))
    assert "waits for a second operator" not in text(signed_in(bob).get(url("index")))


def test_request_says_what_is_approved_already(reviewer: Any, bob: Any, pending: Installation, settings: Any) -> None:
    request = ask(reviewer, pending)
    settings.FOUR_EYES = "off"
    factories.approve(pending, "fin.read")

    assert "approved already" in text(signed_in(bob).get(page_of(request)))


def test_both_operators_read_what_operators_wrote_into_the_catalogue(
    reviewer: Any, bob: Any, pending: Installation
) -> None:
    harmless = LevelMeaning("See public holidays.", "low", "Nobody works then.")
    catalogues.edit("fin", title="Public holidays", read=harmless)
    words = (
        "Operators changed this entry; shipped it is: Finance, high risk. By what it reaches it counts as high risk "
        "for the second operator and for policies."
    )

    assert words in text(signed_in(reviewer).get(approve(pending)))
    request = ask(reviewer, pending)
    for where in (page_of(request), page_of(request, "confirm")):
        assert words in text(signed_in(bob).get(where))

    catalogues.save(catalogues.entry("garage", "products/*"))
    factories.application(permissions=["garage.read"], version="2.0.0")
    page = text(signed_in(reviewer).get(approve(pending)))
    assert "Operators wrote this entry; none is shipped." in page
    assert "counts as" not in page


def test_own_request_is_refused_and_the_attempt_recorded(reviewer: Any, pending: Installation) -> None:
    request = ask(reviewer, pending)

    with nothing_changes():
        response = signed_in(reviewer).post(page_of(request, "confirm"), {"reason": "Mine."})

    assert "You asked for this yourself, or approved it alone. Another operator has to look at it." in text(response)
    assert (last_event().verb, last_event().target_id) == ("attempt.refused", str(request.pk))


def test_what_changed_since_is_said_before_and_at_the_decision(reviewer: Any, bob: Any, pending: Installation) -> None:
    request = ask(reviewer, pending)
    suspend_installation(installation_id=pending.pk, actor=factories.superactor(), reason="For a test.")
    client = signed_in(bob)

    assert "is suspended now; it was pending approval." in text(client.get(page_of(request)))
    response = client.post(page_of(request, "confirm"), {"reason": "Read it."})

    assert "The request is void now and nothing was approved." in text(response)
    listed = client.get(url("installations_approvalrequest_changelist"), {"state": "over"})
    assert "void" in text(listed)
    assert client.get(page_of(request)).status_code == 200


@pytest.mark.parametrize(("who", "words"), [("reviewer", "Taken back."), ("bob", "Refused.")])
def test_request_is_closed(request: Any, reviewer: Any, bob: Any, pending: Installation, who: str, words: str) -> None:
    asked = ask(reviewer, pending)

    response = signed_in({"reviewer": reviewer, "bob": bob}[who]).post(
        page_of(asked, "refuse"), {"reason": "Not now."}, follow=True
    )

    assert messages(response) == [words]
    assert page_of(asked, "confirm") not in response.content.decode()


def test_list_tells_what_waits_from_what_is_over(reviewer: Any, pending: Installation) -> None:
    request = ask(reviewer, pending)
    client = signed_in(reviewer)

    waiting = client.get(url("installations_approvalrequest_changelist"), {"state": "waiting"})
    assert waiting.context["cl"].result_count == 1
    ApprovalRequest.objects.update(expires_at="2026-01-01T00:00:00Z")
    waiting = client.get(url("installations_approvalrequest_changelist"), {"state": "waiting"})
    assert waiting.context["cl"].result_count == 0
    over = client.get(url("installations_approvalrequest_changelist"), {"state": "over"})
    assert "waited too long" in text(over)
    assert page_of(request, "confirm") not in client.get(page_of(request)).content.decode()


def test_installations_of_a_request_are_shown_to_who_may_see_them(
    reviewer: Any, outsider: Any, pending: Installation
) -> None:
    request = ask(reviewer, pending)
    outsider.user_permissions.add(Permission.objects.get(codename="view_approvalrequest"))

    page = text(signed_in(outsider).get(page_of(request)))

    assert "fin.read" in page
    assert "On 1 installation" not in page


def test_who_may_not_see_installations_confirms_nothing(reviewer: Any, outsider: Any, pending: Installation) -> None:
    request = ask(reviewer, pending)
    rights = ("view_approvalrequest", "approve_scopes")
    outsider.user_permissions.add(*Permission.objects.filter(codename__in=rights))
    client = signed_in(outsider)

    assert page_of(request, "confirm") not in client.get(page_of(request)).content.decode()
    shown = client.get(page_of(request, "confirm"))
    assert (shown.status_code, "acme.flowlu.com" in text(shown)) == (403, False)
    with nothing_changes():
        assert client.post(page_of(request, "confirm"), {"reason": "Unseen."}).status_code == 403
    assert last_event().details["permission"] == "installations.view_installation"
    with nothing_changes(), pytest.raises(NotPermitted):
        confirm_request(request_id=request.pk, actor=factories.actor(outsider), reason="Unseen.")


# --- Alone ---


def test_break_glass_is_offered_to_who_may_and_stays_on_its_list(
    superuser: Any, reviewer: Any, pending: Installation
) -> None:
    here = url("installations_installation_change", pending.pk)
    assert approve(pending, "approve-alone".replace("-", "_")) not in signed_in(reviewer).get(here).content.decode()

    client = signed_in(superuser)
    offered = client.get(here).content.decode()
    assert 0 < offered.index(approve(pending, "approve_alone")) < offered.index("What stops something")
    page = text(client.get(approve(pending, "approve_alone")))
    assert "This approves at once, without a second operator." in page
    assert "Four eyes are on" not in page
    body = decision(pending, **{"scope-fin": "fin.read"})
    response = confirm(client, approve(pending, "approve_alone"), body, follow=True)

    assert messages(response) == ["Approved: fin.read. The installation is active now."]
    assert "by superuser alone (break-glass)" in text(client.get(here))
    alone = ApprovalRequest.objects.get()
    look_at = url("installations_breakglass_look_at", object_id=alone.pk)
    assert "1 approval of high risk was made by one operator alone" in text(signed_in(reviewer).get(url("index")))
    with nothing_changes():
        assert "or approved it alone. Another operator has to look at it." in text(
            client.post(look_at, {"reason": "Fine."})
        )
    done = signed_in(reviewer).post(look_at, {"reason": "It was right."}, follow=True)
    assert messages(done) == ["Recorded."]
    assert "made by one operator alone" not in text(signed_in(reviewer).get(url("index")))
    for value, count in (("no", 0), ("yes", 1)):
        listed = client.get(url("installations_breakglass_changelist"), {"looked_at": value})
        assert listed.context["cl"].result_count == count


def test_break_glass_is_not_offered_where_one_operator_is_enough(
    settings: Any, superuser: Any, pending: Installation
) -> None:
    settings.FOUR_EYES = "off"

    page = signed_in(superuser).get(url("installations_installation_change", pending.pk))

    assert approve(pending, "approve_alone") not in page.content.decode()


# --- Many ---


@pytest.fixture
def many(pending: Installation, application: Any) -> list[Installation]:
    return [pending, factories.installation(application, portal="globex.flowlu.com")]


def tick(rows: list[Installation], **more: Any) -> dict[str, Any]:
    return {"action": "approve_selected", ACTION_CHECKBOX_NAME: [row.pk for row in rows], **more}


def test_many_are_previewed_pinned_and_asked_for(reviewer: Any, bob: Any, many: list[Installation]) -> None:
    client = signed_in(reviewer)
    page = client.post(url(LIST), tick(many))

    assert "Exactly these installations" in text(page)
    assert "acme.flowlu.com" in text(page)
    assert "globex.flowlu.com" in text(page)
    assert "With four eyes on this only asks for it" in text(page)
    body = tick(many, confirmed="yes", reason="All of them.", scopes=["task.read"], **pin(page))
    response = client.post(url(LIST), body, follow=True)

    request = ApprovalRequest.objects.get()
    assert messages(response) == [
        f"Asked for, not approved yet: a second operator has to confirm request #{request.pk}."
    ]
    again = client.post(url(LIST), body, follow=True)
    assert messages(again) == [f"Nothing changed: the same was asked for already (request #{request.pk})."]
    assert "On 2 installations" in text(signed_in(bob).get(page_of(request)))
    done = signed_in(bob).post(page_of(request, "confirm"), {"reason": "Read them."}, follow=True)
    assert messages(done) == ["Approved on 2 installations: task.read. 2 installations became active."]


def test_many_are_approved_at_once_by_one_operator_where_that_is_enough(
    settings: Any, reviewer: Any, many: list[Installation]
) -> None:
    settings.FOUR_EYES = "off"
    client = signed_in(reviewer)
    body = tick(many, confirmed="yes", reason="All of them.", scopes=["task.read", "fin.read"])

    response = client.post(url(LIST), body | pin(client.post(url(LIST), tick(many))), follow=True)

    assert messages(response) == ["Approved on 2 installations."]
    assert recorded()[-2:] == ["scopes.approved", "scopes.approved"]
    again = client.post(url(LIST), body | pin(client.post(url(LIST), tick(many))), follow=True)
    assert messages(again) == ["Approved on 0 installations. 2 installations had it already."]


def test_list_that_changed_since_it_was_shown_is_refused(reviewer: Any, many: list[Installation]) -> None:
    client = signed_in(reviewer)
    seen = pin(client.post(url(LIST), tick(many)))
    suspend_installation(installation_id=many[1].pk, actor=factories.superactor(), reason="For a test.")
    body = tick(many, confirmed="yes", reason="All of them.", scopes=["task.read"], **seen)

    with nothing_changes():
        response = client.post(url(LIST), body)

    assert "These installations are not any more as they were shown" in text(response)


@pytest.mark.parametrize("forged", ["", "x", "{other}"])
def test_form_without_the_pin_of_its_page_is_refused(reviewer: Any, many: list[Installation], forged: str) -> None:
    forged = forged.format(other=signing.dumps("x", salt="another.salt"))
    body = tick(many, confirmed="yes", reason="All of them.", scopes=["task.read"], pinned=forged)

    with nothing_changes():
        response = signed_in(reviewer).post(url(LIST), body)

    assert "This page cannot be read any more." in text(response)


def test_incomplete_form_is_asked_for_again(reviewer: Any, many: list[Installation]) -> None:
    client = signed_in(reviewer)
    seen = pin(client.post(url(LIST), tick(many)))

    with nothing_changes():
        response = client.post(url(LIST), tick(many, confirmed="yes", reason="", **seen))

    assert "Choose at least one scope to approve, or go back." in text(response)


def test_of_what_cannot_be_approved_together_one_part_goes_on(
    reviewer: Any, many: list[Installation], application: Any
) -> None:
    many.append(factories.installation(application, portal="initech.flowlu.com"))
    other = factories.installation(factories.application("com.example.other", name="<Other>"))
    client = signed_in(reviewer)
    Installation.objects.filter(pk=many[1].pk).update(status="uninstalled", uninstalled_at="2026-01-01T00:00:00Z")

    with nothing_changes():
        page = client.post(url(LIST), tick([*many, other]))

    assert "These cannot be approved at once" in text(page)
    assert "<Other>" not in page.content.decode()
    groups = [{row.pk for row in rows} for _table, rows, _words in page.context["groups"]]
    assert sorted(groups, key=len) == [{other.pk}, {row.pk for row in many if row != many[1]}]
    assert f"Go on with these {len(many) - 1} installations" in text(page)
    assert "Go on with this 1 installation" in text(page)
    form = page.content.decode().rpartition("<form")[2]
    left = re.findall(r'name="_selected_action" value="(\d+)"', form)
    assert "Approve scopes on" in text(client.post(url(LIST), tick([]) | {ACTION_CHECKBOX_NAME: left, "index": "0"}))


def test_of_uninstalled_ones_nothing_goes_on(reviewer: Any, many: list[Installation]) -> None:
    Installation.objects.update(status="uninstalled", uninstalled_at="2026-01-01T00:00:00Z")

    with nothing_changes():
        page = signed_in(reviewer).post(url(LIST), tick(many))

    assert "All that you selected are uninstalled." in text(page)


def test_too_many_are_refused(reviewer: Any, many: list[Installation], monkeypatch: Any) -> None:
    monkeypatch.setattr("installations.admin.approve_many.MANY", 1)
    more = signed_in(reviewer).post(url(LIST), tick(many), follow=True)
    assert "at most 1 installations" in messages(more)[0]


def test_second_operator_sees_all_that_is_confirmed_and_of_which_application(
    reviewer: Any, bob: Any, application: Any
) -> None:
    """Two applications may have one name, and who asks chooses which installations stand at the end of the list."""
    portals = Portal.objects.bulk_create(Portal(domain=f"p{number:03}.flowlu.com") for number in range(MANY))
    manifest = application.current_manifest
    rows = Installation.objects.bulk_create(
        Installation(portal=portal, application=application, manifest=manifest) for portal in portals
    )
    client = signed_in(reviewer)
    first = client.post(url(LIST), tick(rows))
    client.post(url(LIST), tick(rows, confirmed="yes", reason="All of them.", scopes=["task.read"], **pin(first)))
    request = ApprovalRequest.objects.get()

    for page in (first, signed_in(bob).get(page_of(request, "confirm"))):
        shown = page.content.decode()
        assert all(portal.domain in shown for portal in portals)
        assert application.app_id in text(page)


# --- Policy ---


def test_policy_is_set_and_recorded(reviewer: Any, application: Any) -> None:
    where = url("installations_application_configure", object_id=application.pk)
    body = {"approval_policy": "trust_low", "reason": "Only the profile."}

    response = confirm(signed_in(reviewer), where, body, follow=True)

    application.refresh_from_db()
    assert application.approval_policy == "trust_low"
    assert last_event().details["after"]["approval_policy"] == "trust_low"
    assert "trusted for scopes of low risk" in text(response)


def test_policy_needs_the_right_to_approve(outsider: Any, application: Any) -> None:
    for codename in ("configure_application", "view_application"):
        outsider.user_permissions.add(Permission.objects.get(codename=codename))
    where = url("installations_application_configure", object_id=application.pk)

    with nothing_changes():
        response = confirm(signed_in(outsider), where, {"approval_policy": "trust_low", "reason": "Mine."})

    assert response.status_code == 403


def test_what_a_policy_approved_is_never_taken_for_an_operators_act(auditor: Any, application: Any) -> None:
    type(application).objects.update(approval_policy="trust_medium")
    application.refresh_from_db()
    here = factories.installation(application)
    client = signed_in(auditor)

    page = text(client.get(url("installations_installation_change", here.pk)))
    listed = text(client.get(url("installations_approvedpermission_changelist"), {"source__exact": "portal_admin"}))

    assert "by policy, no operator: the portal's administrator is trusted" in page
    assert "needs a decision" in page
    assert "The rest grants nothing until you approve it" in page
    assert "by policy, no operator" in listed
