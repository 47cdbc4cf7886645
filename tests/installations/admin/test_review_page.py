"""The page on which scopes are decided: what is new comes first, beside whose installation it is."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from installations.models import Installation
from installations.services import approve_scopes, suspend_installation
from tests import factories
from tests.installations.admin.console import signed_in, text, url
from tests.unchanged import nothing_changes
from tokens.services.revocation import uninstall_installation

ALL = [
    "user.me.read",
    "crm.accounts.full",
    "task.full",
    "calendar.read",
    "products.read",
    "users.read",
    "workspace.read",
]


def address(installation: Installation) -> str:
    return url("installations_installation_approve", object_id=installation.pk)


def sections(page: Any) -> dict[str, list[str]]:
    return {each.title: [one.row.code for one in each.decisions] for each in page.context["sections"]}


def chosen(page: Any) -> dict[str, str]:
    form = page.context["form"]
    return {row.code: field.value() for row, field in form.decisions() if field.value()}


def test_everything_is_new_where_nothing_was_decided(reviewer: Any, pending: Installation) -> None:
    page = signed_in(reviewer).get(address(pending))

    assert sections(page) == {"Asked for": ["crm.accounts", "fin", "crm.deals", "task", "user.me"]}
    assert page.context["sections"][0].is_open


def test_what_is_new_comes_first_and_says_what_changed(reviewer: Any, active: Installation) -> None:
    factories.application(permissions=["crm.accounts.full", "task.full", "users.read"], version="2.0.0")

    page = signed_in(reviewer).get(address(active))

    assert sections(page) == {
        "Asked for since the last decision": ["task", "users"],
        "Decided about before": ["crm.accounts"],
    }
    assert [each.is_open for each in page.context["sections"]] == [True, False]
    assert "from read to full" in text(page)
    assert "last decided about: 1.0.0" in text(page)


def test_what_was_decided_is_open_where_nothing_is_new(reviewer: Any, active: Installation) -> None:
    page = signed_in(reviewer).get(address(active))

    assert list(sections(page)) == ["Decided about before"]
    assert page.context["sections"][0].is_open


def test_choice_among_what_was_decided_is_seen_after_a_mistake(reviewer: Any, active: Installation) -> None:
    factories.application(permissions=["crm.accounts.full", "users.read"], version="2.0.0")
    client = signed_in(reviewer)

    page = client.post(address(active), {"scope-crm.accounts": "crm.accounts.full", "reason": ""})

    assert [each.is_open for each in page.context["sections"]] == [True, True]


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        ("", {}),
        ("nonsense", {}),
        ("low", {"user.me": "user.me.read"}),
        ("medium", {"user.me": "user.me.read", "crm.deals": "crm.deals.read", "task": "task.read"}),
        (
            "all",
            {
                "user.me": "user.me.read",
                "crm.deals": "crm.deals.read",
                "task": "task.read",
                "crm.accounts": "crm.accounts.full",
                "fin": "fin.read",
            },
        ),
    ],
)
def test_address_chooses_by_risk_and_sends_nothing(
    reviewer: Any, pending: Installation, choose: str, expected: dict[str, str]
) -> None:
    with nothing_changes():
        page = signed_in(reviewer).get(address(pending), {"choose": choose})

    assert chosen(page) == expected


def test_choosing_lowers_nothing_that_is_approved(reviewer: Any, active: Installation) -> None:
    approve_scopes(
        installation_id=active.pk, requested=["crm.accounts.full"], actor=factories.superactor(), reason="For a test."
    )
    factories.application(permissions=["crm.accounts.read", "task.read"], version="2.0.0")

    assert chosen(signed_in(reviewer).get(address(active), {"choose": "all"})) == {}


def test_page_says_who_opened_it_first_and_what_was_observed(
    reviewer: Any, outsider: Any, application: Any, pending: Installation
) -> None:
    boss = factories.launch(application, user_id="9", name="Ben Ode").portal_user
    boss.is_portal_admin = True
    boss.save()
    factories.token(pending, boss)

    page = text(signed_in(reviewer).get(address(pending)))
    assert "by Ben Ode (9), who administers the portal" in page
    assert "liveness: seen" in page

    boss.name = ""
    boss.save()
    page = text(signed_in(reviewer).get(address(pending)))
    assert "by user 9" in page

    for name in ("approve_scopes", "view_installation"):
        outsider.user_permissions.add(Permission.objects.get(codename=name))
    page = text(signed_in(outsider).get(address(pending)))
    assert "user 9" not in page
    assert "liveness" not in page
    assert "History" not in page


def test_page_costs_the_same_whatever_is_asked_for(
    reviewer: Any, pending: Installation, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(reviewer)
    client.get(address(pending))
    with django_assert_max_num_queries(17):
        client.get(address(pending))
    factories.application(permissions=[*ALL, *(f"vendor.extra{number}.read" for number in range(300))], version="2.0.0")
    with django_assert_max_num_queries(17):
        page = client.get(address(pending))
    assert "The first 200 of 300." in text(page)


def test_second_reviewer_is_told_of_the_first_decision_and_loses_nothing(reviewer: Any, pending: Installation) -> None:
    client = signed_in(reviewer)
    form = client.get(address(pending)).context["form"]
    seen = {name: form[name].value() for name in ("seen_manifest", "seen_in_force", "seen_catalogue")}
    approve_scopes(
        installation_id=pending.pk, requested=["task.read"], actor=factories.superactor(), reason="I was first."
    )

    with nothing_changes():
        response = client.post(address(pending), {**seen, "scope-fin": "fin.read", "reason": "Mine."})

    assert "Somebody else decided about this installation while you were reading it" in text(response)
    assert "task.read" in text(response)
    assert "Mine." in response.content.decode()


def test_installation_that_was_uninstalled_under_review_is_refused(reviewer: Any, pending: Installation) -> None:
    client = signed_in(reviewer)
    form = client.get(address(pending)).context["form"]
    seen = {name: form[name].value() for name in ("seen_manifest", "seen_in_force", "seen_catalogue")}
    uninstall_installation(installation_id=pending.pk, actor=factories.superactor(), reason="It is gone.")

    with nothing_changes():
        response = client.post(address(pending), {**seen, "scope-fin": "fin.read", "reason": "Mine."})

    assert "This installation is uninstalled. A new launch makes a new one" in text(response)


def test_suspended_installation_can_be_decided_about_and_stays_suspended(reviewer: Any, pending: Installation) -> None:
    suspend_installation(installation_id=pending.pk, actor=factories.superactor(), reason="For a test.")
    client = signed_in(reviewer)
    form = client.get(address(pending)).context["form"]
    seen = {name: form[name].value() for name in ("seen_manifest", "seen_in_force", "seen_catalogue")}

    client.post(address(pending), {**seen, "scope-task": "task.read", "reason": "Mine."})

    pending.refresh_from_db()
    assert (pending.status, pending.approved_permissions.in_force().count()) == ("suspended", 1)
