"""Every other act on an installation, a portal, an application or a user: one page, one reason, one verb."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils.safestring import mark_safe

from installations.admin.acts import with_history
from installations.models import Application, Installation, PortalUser
from tests import factories
from tests.installations.admin.console import confirm, messages, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.models import OAuthToken, Revocation

REASON = {"reason": "A customer asked for it."}
Address = Callable[[Any], str]


def installation_act(slug: str) -> Callable[[Installation], str]:
    return lambda row: url(f"installations_installation_{slug}", object_id=row.pk)


# Each act with who may do it, where, and what the audit trail calls it.
_case_act = pytest.mark.parametrize(
    ("slug", "role", "extra", "verb"),
    [
        ("withdraw", "reviewer", {"codes": ["task.read"]}, "scopes.withdrawn"),
        ("suspend", "responder", {}, "installation.suspended"),
        ("lock", "responder", {}, "installation.locked"),
        ("revoke", "responder", {}, "tokens.revoked"),
        ("uninstall", "responder", {}, "installation.uninstalled"),
    ],
)
_ROLES = ("auditor", "reviewer", "responder", "outsider")


@_case_act
def test_act_does_its_verb_and_says_so(
    request: pytest.FixtureRequest, token: OAuthToken, slug: str, role: str, extra: dict[str, Any], verb: str
) -> None:
    # given
    client = signed_in(request.getfixturevalue(role))
    address = installation_act(slug)(token.installation)
    page = client.get(address)
    assert page.status_code == 200
    assert "What does not" in text(page)

    # when
    response = confirm(client, address, {**REASON, **extra}, follow=True)

    # then
    assert response.redirect_chain == [(url("installations_installation_change", token.installation_id), 302)]
    assert len(messages(response)) == 1
    assert last_event().verb == verb
    assert last_event().reason == REASON["reason"]
    assert last_event().actor_name == role


def test_message_leads_to_the_audit_trail_whoever_may_look_at_it(responder: Any, active: Installation) -> None:
    link = f'<a class="to-history" href="{url("installations_auditevent_changelist")}?installation_id={active.pk}">'

    page = confirm(signed_in(responder), installation_act("lock")(active), REASON, follow=True).content.decode()
    said = page.partition('<ul class="messagelist">')[2].partition("</ul>")[0]
    assert f"is locked now. {link}" in said

    for group in responder.groups.all():
        group.permissions.remove(Permission.objects.get(codename="view_auditevent"))
    page = confirm(signed_in(responder), installation_act("unlock")(active), REASON, follow=True).content.decode()
    said = page.partition('<ul class="messagelist">')[2].partition("</ul>")[0]
    assert "unlocked" in said
    assert "to-history" not in said


def test_words_of_a_message_are_escaped_once_whether_or_not_a_link_follows(rf: Any, auditor: Any) -> None:
    request = rf.get("/")
    request.user = auditor

    assert with_history(request, "<b>O'Neil", {}).startswith("&lt;b&gt;O&#x27;Neil <a ")
    assert with_history(request, mark_safe("<i>5 &lt; 6</i>"), {}).startswith("<i>5 &lt; 6</i> <a ")  # noqa: S308


@_case_act
def test_act_without_its_permission_is_refused(
    request: pytest.FixtureRequest, token: OAuthToken, slug: str, role: str, extra: dict[str, Any], verb: str
) -> None:
    address = installation_act(slug)(token.installation)
    for other in _ROLES:
        if other == role:
            continue
        client = signed_in(request.getfixturevalue(other))
        with nothing_changes():
            assert client.get(address).status_code == 403
            assert client.post(address, {**REASON, **extra}).status_code == 403


@_case_act
def test_act_without_a_reason_changes_nothing(
    request: pytest.FixtureRequest, token: OAuthToken, slug: str, role: str, extra: dict[str, Any], verb: str
) -> None:
    client = signed_in(request.getfixturevalue(role))
    with nothing_changes():
        response = client.post(installation_act(slug)(token.installation), {"reason": "", **extra})

    assert response.status_code == 200
    assert "Give a reason of 1 to 1000 characters" in text(response)


@_case_act
def test_act_twice_changes_nothing_the_second_time(
    request: pytest.FixtureRequest, token: OAuthToken, slug: str, role: str, extra: dict[str, Any], verb: str
) -> None:
    client = signed_in(request.getfixturevalue(role))
    client.post(installation_act(slug)(token.installation), {**REASON, **extra})

    with nothing_changes():
        response = client.post(installation_act(slug)(token.installation), {**REASON, **extra}, follow=True)

    assert response.status_code == 200


def test_resume_brings_it_back(responder: Any, active: Installation) -> None:
    client = signed_in(responder)
    client.post(installation_act("suspend")(active), REASON)

    response = client.post(installation_act("resume")(active), REASON, follow=True)

    active.refresh_from_db()
    assert active.status == Installation.Status.ACTIVE
    assert messages(response)[-1] == "Resumed."
    assert recorded()[-2:] == ["installation.suspended", "installation.resumed"]


def test_page_offers_what_the_operator_may_do_and_what_makes_sense(
    auditor: Any, reviewer: Any, responder: Any, active: Installation
) -> None:
    def offered(user: Any) -> list[str]:
        page = signed_in(user).get(url("installations_installation_change", active.pk))
        return [act.label for act in page.context["acts"]]

    assert offered(auditor) == []
    assert offered(reviewer) == ["Approve scopes", "Review scopes", "Add an API key", "Withdraw scopes"]
    assert offered(responder) == ["Revoke all tokens", "Suspend", "Lock", "Mark as uninstalled"]


def test_withdrawing_what_swallows_takes_the_swallowed_with_it_unless_kept(reviewer: Any) -> None:
    # given
    application = factories.application("com.example.crm", permissions=["crm.read", "crm.accounts.full"])
    installation = factories.installation(application, approved=["crm.read", "crm.accounts.full"])
    client = signed_in(reviewer)
    page = client.get(installation_act("withdraw")(installation))
    assert "withdraws with it what it swallows: crm.accounts" in text(page)

    # when
    response = client.post(
        installation_act("withdraw")(installation),
        {**REASON, "codes": ["crm.read"], "keep": ["crm.accounts.full"]},
        follow=True,
    )

    # then
    assert messages(response) == ["Withdrawn: crm.read. Kept, and in force from now on: crm.accounts.full."]
    assert [str(row) for row in installation.approved_permissions.in_force()] == ["crm.accounts.full"]


_case_lockable = pytest.mark.parametrize("kind", ["portal", "application", "portaluser", "installation"])


@_case_lockable
def test_lock_and_unlock(responder: Any, active: Installation, kind: str) -> None:
    # given
    row, client = _lockable(active, kind), signed_in(responder)
    assert "JS SDK go on" in text(client.get(url(f"installations_{kind}_lock", object_id=row.pk)))

    # when
    client.post(url(f"installations_{kind}_lock", object_id=row.pk), REASON)

    # then
    row.refresh_from_db()
    assert row.locked_at is not None
    assert last_event().verb == f"{kind}.locked"
    assert "locked" in text(client.get(url("installations_installation_change", active.pk))) or kind == "portaluser"

    # when
    client.post(url(f"installations_{kind}_unlock", object_id=row.pk), REASON)

    # then
    row.refresh_from_db()
    assert row.locked_at is None
    assert last_event().verb == f"{kind}.unlocked"


@_case_lockable
def test_lock_without_the_permission_is_refused(reviewer: Any, auditor: Any, active: Installation, kind: str) -> None:
    row = _lockable(active, kind)
    for user in (reviewer, auditor):
        for slug in ("lock", "unlock"):
            with nothing_changes():
                address = url(f"installations_{kind}_{slug}", object_id=row.pk)
                assert signed_in(user).get(address).status_code == 403
                assert signed_in(user).post(address, REASON).status_code == 403


def test_revoking_a_user_can_lock_them_too(responder: Any, token: OAuthToken, portal_user: PortalUser) -> None:
    # given
    values = {"object_id": token.installation_id, "user_id": portal_user.pk}
    client, address = signed_in(responder), url("installations_installation_revoke_user", **values)
    page = text(client.get(address))
    assert "Also lock this user: a page reload brings a new token" in page
    assert "1 token" in page
    assert "Flowlu documents no way to revoke a token" in page

    # when
    response = confirm(client, address, {**REASON, "also_lock": "on"}, follow=True)

    # then
    token.refresh_from_db()
    portal_user.refresh_from_db()
    assert token.state == OAuthToken.State.REVOKED
    assert portal_user.locked_at is not None
    assert recorded()[-2:] == ["portaluser.locked", "tokens.revoked"]
    assert messages(response) == [
        f"1 token revoked. user 7 of acme.flowlu.com is locked. See revocation #{Revocation.objects.get().pk}."
    ]


def test_user_of_another_portal_is_404(responder: Any, token: OAuthToken, application: Application) -> None:
    other = factories.launch(application, portal="globex.flowlu.com", user_id="9").portal_user
    values = {"object_id": token.installation_id, "user_id": other.pk}

    assert signed_in(responder).get(url("installations_installation_revoke_user", **values)).status_code == 404


def _lockable(installation: Installation, kind: str) -> Any:
    return {
        "portal": installation.portal,
        "application": installation.application,
        "portaluser": PortalUser.objects.get(portal=installation.portal),
        "installation": installation,
    }[kind]


def test_resuming_what_runs_changes_nothing_and_says_so(responder: Any, active: Installation) -> None:
    with nothing_changes():
        response = signed_in(responder).post(installation_act("resume")(active), REASON, follow=True)

    assert messages(response) == ["Nothing changed: it is not suspended."]


def test_withdrawal_names_what_went_with_it(reviewer: Any) -> None:
    application = factories.application("com.example.crm", permissions=["crm.read", "crm.accounts.full"])
    installation = factories.installation(application, approved=["crm.read", "crm.accounts.full"])

    response = signed_in(reviewer).post(
        installation_act("withdraw")(installation), {**REASON, "codes": ["crm.read"]}, follow=True
    )

    assert messages(response) == ["Withdrawn: crm.read. With them, as they were swallowed: crm.accounts.full."]
    assert list(installation.approved_permissions.in_force()) == []


@pytest.mark.parametrize("raised", ["crm.full", "crm.accounts.full"])
def test_withdrawal_from_a_page_that_showed_another_level_changes_nothing(reviewer: Any, raised: str) -> None:
    application = factories.application("com.example.crm", permissions=["crm.full", "crm.accounts.full"])
    installation = factories.installation(application, approved=["crm.read", "crm.accounts.read"])
    client, address = signed_in(reviewer), installation_act("withdraw")(installation)
    form = client.get(address).context["form"]
    shown = {name: {value for value, _words in form.fields[name].choices} for name in ("codes", "keep")}
    assert shown == {"codes": {"crm.accounts.read", "crm.read"}, "keep": {"crm.accounts.read"}}
    factories.approve(installation, raised)

    with nothing_changes():
        page = client.post(address, {**REASON, "codes": ["crm.read"], "keep": ["crm.accounts.read"]})

    assert f"{raised.replace('full', 'read')} is not approved any more. Look at the list again." in text(page)
