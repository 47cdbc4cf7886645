"""Tables on a page show only what the operator may see by itself, and lists are narrowed by what is asked."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from installations.models import Application, ApprovedPermission, Installation, PortalUser
from installations.services import withdraw_scopes
from tests import factories
from tests.installations.admin.console import signed_in, text, url
from tokens.models import OAuthToken
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.targets import RevocationTarget

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}


def titles(user: Any, name: str, pk: int) -> list[str]:
    response = signed_in(user).get(url(f"{name}_change", pk))
    assert response.status_code == 200
    return [table.title for table in response.context["tables"]]


def test_page_without_another_permission_has_no_table(outsider: Any, token: OAuthToken) -> None:
    cut = revoke_tokens(target=RevocationTarget.of_token(token.pk), **WHY).revocation
    assert cut is not None
    rows = {
        "installations_application": token.installation.application_id,
        "installations_portal": token.installation.portal_id,
        "installations_portaluser": token.portal_user_id,
        "installations_installation": token.installation_id,
        "tokens_oauthtoken": token.pk,
        "tokens_revocation": cut.pk,
    }
    for name, pk in rows.items():
        may = Permission.objects.get(
            content_type__app_label=name.partition("_")[0], codename=f"view_{name.partition('_')[2]}"
        )
        outsider.user_permissions.set([may])
        assert titles(outsider, name, pk) == [], name


def test_page_names_the_generations_before(auditor: Any, application: Application, active: Installation) -> None:
    uninstall_installation(installation_id=active.pk, **WHY)
    second = factories.installation(application)

    assert titles(auditor, "installations_installation", second.pk) == [
        "Evidence",
        "Other generations",
    ]


@pytest.mark.parametrize(
    ("query", "codes"),
    [({}, {"crm.accounts", "task"}), ({"state": "in_force"}, {"task"}), ({"state": "withdrawn"}, {"crm.accounts"})],
    ids=["all", "in-force", "withdrawn"],
)
def test_approvals_are_narrowed_by_whether_they_hold(
    auditor: Any, active: Installation, query: dict[str, str], codes: set[str]
) -> None:
    withdraw_scopes(installation_id=active.pk, codes=["crm.accounts"], **WHY)

    page = signed_in(auditor).get(url("installations_approvedpermission_changelist"), query)

    assert {row.code for row in page.context["cl"].result_list} == codes
    assert ApprovedPermission.objects.count() == 2


def test_page_of_a_manifest_points_at_scopes_that_repeat_or_are_swallowed(auditor: Any) -> None:
    application = factories.application(
        "com.example.crm", permissions=["crm.read", "crm.accounts.full", "crm.accounts.read"]
    )

    page = text(signed_in(auditor).get(url("installations_manifest_change", application.current_manifest_id)))

    assert page.count("swallowed by crm if that is approved too") == 2
    assert page.count("named before") == 1


def test_users_are_those_of_the_portal(auditor: Any, token: OAuthToken, application: Application) -> None:
    factories.launch(application, portal="globex.flowlu.com", user_id="9", name="Gus")

    page = text(signed_in(auditor).get(url("installations_portal_change", token.installation.portal_id)))

    assert "Ana Ruiz" in page
    assert "Gus" not in page
    assert PortalUser.objects.count() == 2
