"""The queue of reviews and the page on which several approvals of one installation are decided about."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from installations import reviews
from installations.admin.reviews import ReviewAdmin
from installations.four_columns import utc_today
from installations.models import Application, ApprovedPermission, Installation, ScopeUsage
from installations.reviewing import keep_scopes, lower_scopes
from installations.services import suspend_installation, withdraw_scopes
from tests import factories
from tests.installations.admin.console import messages, seen_of, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "First."}
QUEUE = "installations_review_changelist"
LONG_AGO = 300


def ago(days: int) -> Any:
    return utc_today() - timedelta(days=days)


def in_days(days: int) -> str:
    return str(utc_today() + timedelta(days=days))


def used(installation: Installation, code: str, level: str = "read", days: int = 0, **columns: Any) -> None:
    values = {"accepted": 1, "last_at": datetime.combine(ago(days), time(9), UTC), "purpose": ""} | columns
    ScopeUsage.objects.create(installation=installation, code=code, level=level, day=ago(days), **values)


@pytest.fixture
def here(application: Application) -> Installation:
    """An installation with three approvals from long ago: one overdue, one only read, one not used at all."""
    found = factories.installation(application, approved=["fin.read", "crm.accounts.full", "user.me.read"])
    found.approved_permissions.update(
        approved_at=datetime.combine(ago(LONG_AGO), time(9), UTC), active_on=ago(LONG_AGO)
    )
    found.approved_permissions.filter(code="fin").update(review_by=ago(3))
    used(found, "fin", days=LONG_AGO)
    used(found, "fin", days=1, accepted=4, denied=2)
    used(found, "crm.accounts", days=2, purpose="nightly")
    return found


def address(installation: Installation, **query: str) -> str:
    where = url("installations_installation_review", object_id=installation.pk)
    return where + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")


def in_force(installation: Installation) -> list[str]:
    return sorted(str(row) for row in installation.approved_permissions.in_force())


# --- The queue ---------------------------------------------------------------------------------------------------


def test_queue_lists_what_waits_with_why_and_the_evidence_of_use(auditor: Any, here: Installation) -> None:
    page = signed_in(auditor).get(url(QUEUE))

    assert [str(row) for row in page.context["cl"].result_list] == ["fin.read", "crm.accounts.full", "user.me.read"]
    shown = text(page)
    assert "Desk on acme.flowlu.com" in shown
    assert f"overdue by {ago(3)} , 3 days ago" in shown
    assert f"6 calls in 30 days, 2 denied by Flowlu; none changed anything. 0 users; by the embedded page. Last used on {ago(1)} ." in shown  # fmt: skip  # noqa: E501 - one sentence of the page
    assert f"only read for {LONG_AGO} days Proposed: lower to read." in shown
    assert "by nightly" in shown
    assert f"not used in {LONG_AGO} days Proposed: withdraw." in shown
    assert "No call is known." in shown
    used(here, "user.me", days=200)
    assert f"No call in 30 days. Last used on {ago(200)} ." in text(signed_in(auditor).get(url(QUEUE)))
    assert "high risk" in shown
    assert "low risk" in shown


def test_higher_risk_comes_before_what_waits_for_longer(auditor: Any, here: Installation) -> None:
    here.approved_permissions.filter(code="user.me").update(review_by=ago(99))
    client = signed_in(auditor)

    page = client.get(url(QUEUE))

    assert [str(row) for row in page.context["cl"].result_list] == ["fin.read", "crm.accounts.full", "user.me.read"]


def test_pages_of_the_queue_go_on_from_risk_to_risk_and_back(
    auditor: Any, here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        more = factories.installation(
            here.application, portal=f"p{number}.flowlu.com", approved=["fin.read", "user.me.read"]
        )
        more.approved_permissions.update(review_by=ago(number))
    monkeypatch.setattr(ReviewAdmin, "list_per_page", 2)
    client = signed_in(auditor)
    page = client.get(url(QUEUE))
    shown, pages = [], [page]
    while pages[-1].context["cl"].next_url:
        pages.append(client.get(url(QUEUE) + pages[-1].context["cl"].next_url))
    for page in pages:
        shown.append([row.pk for row in page.context["cl"].result_list])

    whole = [row.pk for part in reviews.queue(ApprovedPermission.objects.all()) for row in part]
    assert sum(shown, []) == whole
    assert len(whole) == 11
    for size in range(1, 12):
        monkeypatch.setattr(ReviewAdmin, "list_per_page", size)
        assert client.get(url(QUEUE)).context["cl"].result_count == 11
    monkeypatch.setattr(ReviewAdmin, "list_per_page", 2)
    # What was not counted to its end cannot be shown whole, and does not say that it is.
    assert len(client.get(url(QUEUE), {"all": ""}).context["cl"].result_list) == 11
    with monkeypatch.context() as fewer:
        fewer.setattr(reviews, "MOST_UNUSED", 5)
        cut = client.get(url(QUEUE), {"all": ""})
        assert "more than 5 reviews" in text(cut)
        assert [row.pk for row in cut.context["cl"].result_list] == shown[0]
        assert cut.context["cl"].next_url
    # Narrowed, the parts that were counted to their end are found by their keys, and the others as they are.
    for most in range(12):
        with monkeypatch.context() as fewer:
            fewer.setattr(reviews, "MOST_UNUSED", most)
            narrowed = client.get(url(QUEUE), {"installation__application__id__exact": here.application_id})
            found = [row.pk for row in narrowed.context["cl"].result_list]
            while narrowed.context["cl"].next_url:
                narrowed = client.get(url(QUEUE) + narrowed.context["cl"].next_url)
                found += [row.pk for row in narrowed.context["cl"].result_list]
            assert found == whole, most
    for earlier in reversed(shown[:-1]):
        page = client.get(url(QUEUE) + page.context["cl"].previous_url)
        assert [row.pk for row in page.context["cl"].result_list] == earlier
    last = pages[-1].context["cl"].previous_url.partition("=")[2]
    for wrong in (last.replace("5~", "4~", 1), last.replace("5~", "6~", 1), "nothing"):
        answer = client.get(url(QUEUE), {"after": wrong})
        assert "named no place" in text(answer)
        assert [row.pk for row in answer.context["cl"].result_list] == shown[0]


def test_page_of_an_installation_has_the_order_of_the_queue(reviewer: Any, here: Installation) -> None:
    here.approved_permissions.update(review_by=ago(3))

    page = signed_in(reviewer).get(address(here))

    assert [str(shown.line.approval) for shown, _field in page.context["waiting"]] == [
        "crm.accounts.full",
        "fin.read",
        "user.me.read",
    ]


def test_queue_leads_to_each_decision_and_only_those_who_may_decide(
    auditor: Any, reviewer: Any, here: Installation
) -> None:
    page = signed_in(reviewer).get(url(QUEUE)).content.decode()

    for decision in ("keep", "lower", "withdraw"):
        assert f"{address(here)}?code=crm.accounts&amp;choose={decision}&amp;from=queue" in page
    assert "code=fin&amp;choose=lower" not in page
    assert 'aria-label="Keep fin.read of Desk on acme.flowlu.com"' in page
    assert "choose=" not in signed_in(auditor).get(url(QUEUE)).content.decode()


def test_purposes_are_shown_to_those_who_may_see_them(outsider: Any, here: Installation) -> None:
    for codename in ("view_approvedpermission", "view_installation"):
        outsider.user_permissions.add(Permission.objects.get(codename=codename))
    client = signed_in(outsider)

    shown = text(client.get(url(QUEUE)))

    assert "6 calls in 30 days" in shown
    assert "nightly" not in shown
    assert "embedded page" not in shown


@pytest.mark.parametrize("lacking", ["view_approvedpermission", "view_installation"])
def test_queue_needs_the_right_to_see_approvals_and_installations(
    outsider: Any, here: Installation, lacking: str
) -> None:
    held = {"view_approvedpermission", "view_installation"} - {lacking}
    outsider.user_permissions.add(Permission.objects.get(codename=held.pop()))

    assert signed_in(outsider).get(url(QUEUE)).status_code == 403
    assert "due for review" not in text(signed_in(outsider).get(url("index")))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"what": "due"}, ["fin.read"]),
        ({"what": "overdue"}, ["fin.read"]),
        ({"what": "unused"}, ["crm.accounts.full", "user.me.read"]),
        ({"what": "all"}, ["fin.read", "crm.accounts.full", "user.me.read"]),
        ({"what": "nothing known"}, ["fin.read", "crm.accounts.full", "user.me.read"]),
        ({"risk": "low"}, ["user.me.read"]),
        ({"risk": "high"}, ["fin.read", "crm.accounts.full"]),
        ({"risk": "medium"}, []),
        ({"risk": "none known"}, ["fin.read", "crm.accounts.full", "user.me.read"]),
        ({"q": "crm"}, ["crm.accounts.full"]),
    ],
)
def test_queue_can_be_narrowed(auditor: Any, here: Installation, query: dict[str, str], expected: list[str]) -> None:
    page = signed_in(auditor).get(url(QUEUE), query)

    assert [str(row) for row in page.context["cl"].result_list] == expected


def test_queue_of_an_application_has_all_of_its_risks_and_nothing_else(auditor: Any, here: Installation) -> None:
    client, application = signed_in(auditor), "installation__application__id__exact"
    small = factories.installation(
        factories.application("com.example.small", permissions=["user.me.read"]), approved=["user.me.read"]
    )
    small.approved_permissions.update(review_by=ago(1))
    # Not asked for any more: what was approved is still there.
    factories.application(permissions=["task.read"], version="9.0.0")

    for installation, expected in (
        (here, ["fin.read", "crm.accounts.full", "user.me.read"]),
        (small, ["user.me.read"]),
    ):
        page = client.get(url(QUEUE), {application: installation.application_id})
        assert [str(row) for row in page.context["cl"].result_list] == expected
        assert {row.installation_id for row in page.context["cl"].result_list} == {installation.pk}
    for unknown in ("0", "x", "99999999999999999999"):
        page = client.get(url(QUEUE), {application: unknown}, follow=True)
        assert page.status_code == 200


def test_what_is_used_and_not_due_says_until_when(auditor: Any, here: Installation) -> None:
    used(here, "user.me", days=0)

    shown = text(signed_in(auditor).get(url(QUEUE), {"what": "all"}))

    assert f"next review by {in_days(365)}" in shown


def test_queue_costs_the_same_for_many_rows(
    auditor: Any, here: Installation, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(auditor)
    client.get(url(QUEUE))
    with django_assert_max_num_queries(28) as few:
        client.get(url(QUEUE))
    for number in range(5):
        more = factories.installation(here.application, portal=f"p{number}.flowlu.com", approved=["fin.read"])
        more.approved_permissions.update(review_by=ago(number))
        used(more, "fin", days=number)

    with django_assert_max_num_queries(28) as many:
        page = client.get(url(QUEUE))

    assert page.context["cl"].result_count == 8
    assert len(many) == len(few)


def test_first_page_counts_what_waits_and_says_since_when(auditor: Any, here: Installation) -> None:
    client = signed_in(auditor)

    shown = text(client.get(url("index")))
    assert "1 approval is due for review" in shown
    assert "The oldest for 3 days. 2 more can be lowered or withdrawn: unused. Keep, lower or withdraw each." in shown

    here.approved_permissions.filter(code="user.me").update(review_by=ago(0))
    here.approved_permissions.filter(code="fin").update(review_by=ago(0))
    shown = text(client.get(url("index")))
    assert "2 approvals are due for review" in shown
    assert "The oldest since today. 1 more" in shown

    here.approved_permissions.update(review_by=ago(-9))
    page = client.get(url("index"))
    assert "2 approvals can be lowered or withdrawn" in text(page)
    assert f"{url(QUEUE)}?what=unused" in page.content.decode()

    keep_scopes(installation_id=here.pk, codes=["user.me", "crm.accounts"], **WHY)
    assert "lowered or withdrawn" not in text(client.get(url("index")))


# --- The page of the decision ------------------------------------------------------------------------------------


def test_page_shows_what_waits_first_and_the_rest_beside_it(reviewer: Any, here: Installation) -> None:
    used(here, "user.me", days=0)
    page = signed_in(reviewer).get(address(here))

    assert [shown.line.approval.code for shown, _field in page.context["waiting"]] == ["fin", "crm.accounts"]
    assert [shown.line.approval.code for shown, _field in page.context["others"]] == ["user.me"]
    shown = text(page)
    assert f"keep, next review by {in_days(90)}" in shown
    assert f"lower to read, next review by {in_days(180)}, as proposed" in shown
    assert "Approved by shell" in shown
    assert "Not due: 1 more approved scope" in shown


def test_nothing_due_says_so(reviewer: Any, application: Application) -> None:
    found = factories.installation(application, approved=["fin.read"])

    assert "Nothing is due, and everything that is approved is used." in text(signed_in(reviewer).get(address(found)))


def test_swallowed_scope_says_that_no_call_is_counted_under_it(reviewer: Any) -> None:
    app = factories.application(permissions=["crm.read", "crm.deals.read"])
    found = factories.installation(app, approved=["crm.read", "crm.deals.read"])

    assert "Swallowed by crm: it has no effect of its own" in text(signed_in(reviewer).get(address(found)))


def test_link_of_the_queue_chooses_the_decision(reviewer: Any, here: Installation) -> None:
    client = signed_in(reviewer)
    seen = seen_of(here)

    page = client.get(address(here, code="crm.accounts", choose="lower")).content.decode()
    assert f'value="lower {seen["crm.accounts"]}" id="id_review-crm.accounts_2" checked' in page
    assert page.count(" checked") == 3  # the others wait: nothing is chosen for them

    page = client.get(address(here, code="crm.accounts", choose="everything")).content.decode()
    assert f'{seen["crm.accounts"]}" id="id_review-crm.accounts_2" checked' not in page


def test_several_decisions_with_one_reason_are_one_act(reviewer: Any, here: Installation) -> None:
    seen = seen_of(here)
    body = {
        "review-fin": f"keep {seen['fin']}",
        "review-crm.accounts": f"lower {seen['crm.accounts']}",
        "review-user.me": f"withdraw {seen['user.me']}",
        "reason": "Looked at.",
    }

    response = signed_in(reviewer).post(address(here, **{"from": "queue"}), body, follow=True)

    assert response.redirect_chain == [(url(QUEUE), 302)]
    assert messages(response) == [
        f"Kept: fin.read, review by {in_days(90)}. Lowered to read: crm.accounts.full, review by {in_days(180)}. "
        "Withdrawn: user.me.read. See Desk on acme.flowlu.com."
    ]
    assert in_force(here) == ["crm.accounts.read", "fin.read"]
    assert recorded()[-3:] == ["scopes.kept", "scopes.lowered", "scopes.withdrawn"]
    assert (last_event().actor_name, last_event().reason) == ("reviewer", "Looked at.")
    assert response.context["cl"].result_count == 0


def test_without_the_queue_it_leads_back_to_the_installation(reviewer: Any, here: Installation) -> None:
    body = {"review-fin": f"keep {seen_of(here)['fin']}", "review_by": in_days(7), "reason": "Looked at."}

    response = signed_in(reviewer).post(address(here), body, follow=True)

    assert response.redirect_chain == [(url("installations_installation_change", here.pk), 302)]
    assert messages(response) == [f"Kept: fin.read, review by {in_days(7)}."]
    assert f"review by {in_days(7)}" in text(response)
    assert "Last review by reviewer" in text(response)

    with nothing_changes():
        again = {"review-fin": f"keep {seen_of(here)['fin']}", "review_by": in_days(7), "reason": "Again."}
        response = signed_in(reviewer).post(address(here), again, follow=True)
    assert messages(response) == ["Nothing changed: fin.read was decided about so today already."]


def test_withdrawing_says_what_went_with_it(reviewer: Any) -> None:
    app = factories.application(permissions=["crm.read", "crm.deals.read"])
    found = factories.installation(app, approved=["crm.read", "crm.deals.read"])
    body = {"review-crm": f"withdraw {seen_of(found)['crm']}", "reason": "Over."}

    response = signed_in(reviewer).post(address(found), body, follow=True)

    assert messages(response) == ["Withdrawn: crm.read. With them, as they were swallowed: crm.deals.read."]


@pytest.mark.parametrize("meanwhile", [keep_scopes, lower_scopes, withdraw_scopes])
def test_stale_row_is_refused_and_what_was_filled_in_stays(reviewer: Any, here: Installation, meanwhile: Any) -> None:
    seen = seen_of(here)
    meanwhile(installation_id=here.pk, codes=["crm.accounts"], **WHY)
    body = {
        "review-fin": f"keep {seen['fin']}",
        "review-crm.accounts": f"withdraw {seen['crm.accounts']}",
        "reason": "Looked at for long.",
    }
    client = signed_in(reviewer)

    with nothing_changes():
        response = client.post(address(here), body)

    words = {
        keep_scopes: "Decided about while you were reading it: crm.accounts.full, by shell. Look at it again",
        lower_scopes: "Decided about while you were reading it: crm.accounts.read, by shell. Look at it again",
        withdraw_scopes: "crm.accounts is not approved any more. Nothing was changed: look at the rest again.",
    }
    page = response.content.decode()
    assert words[meanwhile] in text(response)
    assert "Looked at for long." in page
    assert f'value="keep {seen["fin"]}" id="id_review-fin_1" checked' in page
    assert f'value="withdraw {seen["crm.accounts"]}"' not in page

    # What is still as it was seen is decided with what the page shows now.
    del body["review-crm.accounts"]
    assert client.post(address(here), body).status_code == 302


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Choose what to do with at least one scope, or go back."),
        ({"review-fin": ""}, "Choose what to do with at least one scope, or go back."),
        ({"review-fin": "approve 1/0"}, "Select a valid choice."),
        ({"review_by": "tomorrow"}, "Write the day as 2026-04-01, or leave it empty."),
        ({"review_by": "2099-01-01"}, "fin.read is of high risk, so it is reviewed by"),
        ({"review_by": "2020-01-01"}, "2020-01-01 is not after today."),
        ({"reason": ""}, "Give a reason of 1 to 1000 characters."),
    ],
)
def test_form_that_is_not_well_is_refused(reviewer: Any, here: Installation, body: dict[str, str], words: str) -> None:
    filled = {"reason": "Looked at.", **({"review-fin": f"keep {seen_of(here)['fin']}"} if body else {}), **body}

    with nothing_changes():
        response = signed_in(reviewer).post(address(here), filled)

    assert response.status_code == 200
    assert words in text(response)


def test_each_may_choose_what_they_may_do(here: Installation) -> None:
    def offered(*codenames: str) -> str:
        user = factories.operator("-".join(codenames))
        for codename in ("view_installation", *codenames):
            user.user_permissions.add(Permission.objects.get(codename=codename))
        client = signed_in(user)
        page = client.get(address(here))
        body = {"review-fin": f"keep {seen_of(here)['fin']}", "reason": "An attempt."}
        if "approve_scopes" not in codenames:
            with nothing_changes():
                assert client.post(address(here), body).status_code == 403
        return page.content.decode()

    assert "keep, next" in offered("approve_scopes")
    assert "withdraw, as proposed" not in offered("approve_scopes", "add_portal")
    taking = offered("withdraw_scopes")
    assert "keep, next" not in taking
    assert "withdraw, as proposed" in taking


def test_act_is_not_offered_where_nothing_is_approved(reviewer: Any, application: Application) -> None:
    pending = factories.installation(application)

    page = signed_in(reviewer).get(url("installations_installation_change", pending.pk))

    assert address(pending) not in page.content.decode()


# --- Elsewhere ---------------------------------------------------------------------------------------------------


def test_installation_says_that_a_review_is_due_or_overdue(auditor: Any, here: Installation) -> None:
    client = signed_in(auditor)
    where = url("installations_installation_change", here.pk)
    assert "review overdue" in text(client.get(where))

    here.approved_permissions.update(review_by=ago(0))
    assert "review due" in text(client.get(where))
    here.approved_permissions.update(review_by=ago(-1))
    assert "review due" not in text(client.get(where))
    assert f"review by {in_days(1)}" in text(client.get(where))
    suspend_installation(installation_id=here.pk, **WHY)
    assert "review due" not in text(client.get(where))


def test_approval_says_by_when_and_who_reviewed_it_last(auditor: Any, here: Installation) -> None:
    keep_scopes(installation_id=here.pk, codes=["fin"], **WHY)
    client = signed_in(auditor)
    row = here.approved_permissions.get(code="fin")
    other = here.approved_permissions.get(code="user.me")

    for name in ("approvedpermission", "review"):
        shown = text(client.get(url(f"installations_{name}_change", row.pk)))
        assert "in force" in shown
        assert f"Review by {in_days(90)}" in shown
        assert "by shell: First." in shown
        assert "Last review –" in text(client.get(url(f"installations_{name}_change", other.pk)))
