"""The four columns on the page and in both files, and what if: the answer of the API, before anybody asks it."""

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from installations import catalogue
from installations.admin import permissions_page
from installations.four_columns import utc_today
from installations.models import Application, ApprovedPermission, Installation, PortalUser, ScopeUsage
from installations.reviewing import keep_scopes
from installations.scopes import ANY
from installations.services import lock, suspend_installation, withdraw_scopes
from tests import factories
from tests.embedded import Frontend
from tests.installations.admin.console import signed_in, text, url
from tests.unchanged import nothing_changes
from tokens.models import OAuthToken
from tokens.services.revocation import uninstall_installation

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}


def address(installation: Installation) -> str:
    return url("installations_installation_permissions", object_id=installation.pk)


def used(installation: Installation, user: PortalUser | None, code: str, **columns: Any) -> None:
    values = {"level": "read", "day": utc_today(), "accepted": 1, "last_at": timezone.now()} | columns
    ScopeUsage.objects.create(installation=installation, portal_user=user, code=code, **values)


def test_installation_leads_to_its_permissions(auditor: Any, active: Installation) -> None:
    page = signed_in(auditor).get(url("installations_installation_change", active.pk))

    assert address(active) in page.content.decode()


def test_page_shows_each_column_with_its_evidence(auditor: Any, active: Installation, portal_user: PortalUser) -> None:
    used(active, portal_user, "task", accepted=12, denied=3)
    ApprovedPermission.objects.update(approved_at=timezone.now() - timedelta(days=99))

    shown = text(signed_in(auditor).get(address(active)))

    assert "By the manifest 1.0.0" in shown
    assert "for the manifest 1.0.0: For a test." in shown
    assert "As approved." in shown
    assert "12 + 3 denied" in shown
    assert "1 user; by the embedded page. 0 of the accepted calls changed something." in shown
    assert "1 unused" in shown  # crm.accounts
    assert "requested, not approved" in shown


def test_chart_says_its_numbers_in_words(auditor: Any, active: Installation, portal_user: PortalUser) -> None:
    used(active, portal_user, "task", accepted=12)
    used(active, portal_user, "task", accepted=5, day=utc_today() - timedelta(days=1))

    page = signed_in(auditor).get(address(active)).content.decode()

    assert 'aria-label="17 calls in 30 days, at most 12 a day"' in page
    assert page.count("<rect") == 2


def test_user_is_chosen_by_number_and_shown_what_flowlu_answered_them(
    auditor: Any, active: Installation, portal_user: PortalUser
) -> None:
    used(active, portal_user, "task", accepted=0, denied=3)

    shown = text(signed_in(auditor).get(address(active), {"user": "7"}))

    assert "user 7: Flowlu accepted 0, denied 3" in shown
    assert "user 7: never tried" in shown


def test_user_of_another_portal_is_nobody_here(auditor: Any, active: Installation, application: Application) -> None:
    factories.launch(application, portal="globex.flowlu.com", user_id="99", name="Zoe Elsewhere")

    shown = text(signed_in(auditor).get(address(active), {"user": "99"}))

    assert "No user with this id was seen on this portal." in shown
    assert "Zoe Elsewhere" not in shown


@pytest.mark.parametrize(
    "stop",
    ["none", "pending", "suspended", "portal locked", "application locked", "installation locked", "user locked",
     "uninstalled"],
)  # fmt: skip
@pytest.mark.django_db(transaction=True)
def test_what_if_answers_as_the_api_does(ana: Frontend, superuser: Any, stop: str) -> None:
    """Every call of the catalogue and some beyond, whatever stops the installation: one rule, two places to ask it."""
    ana.open()
    here, user = Installation.objects.get(), PortalUser.objects.get()
    if stop != "pending":
        factories.approve(here, "crm.accounts.full", "task.read")
    targets = {"portal": here.portal, "application": here.application, "installation": here, "user": user}
    if stop.endswith(" locked"):
        lock(target=targets[stop.partition(" ")[0]], **WHY)
    elif stop == "suspended":
        suspend_installation(installation_id=here.pk, **WHY)
    elif stop == "uninstalled":
        OAuthToken.objects.update(state="active")
        uninstall_installation(installation_id=here.pk, **WHY)
    console = signed_in(superuser)
    for call in calls_of_the_catalogue() if stop == "none" else [("crm", "account", "list"), ("fin", "invoice", "get")]:
        names = dict(zip(("module", "model", "action"), call, strict=True))
        answered = ana.get("permissions", **names)
        if answered.status_code == 401:  # its session is gone with the installation
            assert (stop, answered.json()["error"]) == ("uninstalled", "invalid_session")
            answered_by_api = (False, "token_revoked")
        else:
            body = answered.json()
            answered_by_api = (body["allowed"], body["scope"] or body["error"])
        what_if = console.get(address(here), {**names, "user": user.flowlu_user_id}).context["what_if"]

        assert what_if.allowed == answered_by_api[0], call
        assert str(answered_by_api[1]) in what_if.rule, call


def calls_of_the_catalogue() -> list[tuple[str, str, str]]:
    found = [("nowhere", "thing", "list")]
    for entry in catalogue.load().entries:
        for rule in entry.covers:
            models = entry.models[:2] if rule.model == ANY else (rule.model,)
            actions = ("list", "update") if rule.actions == ANY else rule.actions[:2]
            found += [(rule.module, model, action) for model in models for action in actions]
    return sorted(set(found))


def test_what_if_says_what_is_missing(auditor: Any, active: Installation) -> None:
    client = signed_in(auditor)

    refused = text(client.get(address(active), {"module": "crm", "model": "account", "action": "update"}))
    nowhere = text(client.get(address(active), {"module": "nowhere", "model": "thing", "action": "get"}))
    partly = text(client.get(address(active), {"module": "crm"}))
    odd = text(client.get(address(active), {"module": "crm/..", "model": "account", "action": "list"}))

    assert "refused insufficient_scope: no effective scope covers it at level full." in refused
    assert "The smallest that would do is crm.accounts.full." in refused
    assert "No scope of the catalogue covers it." in nowhere
    assert partly.count("Name it as well: a call has a module, a model and an action.") == 2
    assert "allowed" not in odd
    assert "letters" in odd


def test_stopped_installation_says_that_nothing_is_effective_now(auditor: Any, active: Installation) -> None:
    lock(target=active.portal, **WHY)
    suspend_installation(installation_id=active.pk, **WHY)

    shown = text(signed_in(auditor).get(address(active)))

    assert "Nothing is effective now: suspended, portal locked." in shown
    assert "As approved. Not now: suspended, portal locked." in shown


@pytest.mark.django_db(transaction=True)
def test_withdrawal_shows_at_once(auditor: Any, application: Application) -> None:
    here = factories.installation(application, approved=["task.read"])
    withdraw_scopes(installation_id=here.pk, codes=["task"], **WHY)

    lines = signed_in(auditor).get(address(here)).context["lines"]

    assert [shown.line.effective for shown in lines] == [None] * len(lines)


# --- Files ---


def test_files_hold_what_the_page_shows(auditor: Any, active: Installation, portal_user: PortalUser) -> None:
    used(active, portal_user, "task", accepted=12, denied=3, purpose="sync")
    client = signed_in(auditor)

    as_json = client.get(address(active), {"format": "json", "user": "7"})
    as_csv = client.get(address(active), {"format": "csv", "user": "7"})

    document = as_json.json()
    task = next(row for row in document["scopes"] if row["scope"] == "task.read")
    assert (document["portal"], document["status"], document["user"]) == ("acme.flowlu.com", "active", "7")
    assert (task["approved"], task["effective"], task["effective_now"]) == ("read", "read", True)
    assert (task["accepted"], task["denied"], task["purposes"], task["user_denied"]) == (12, 3, ["sync"], 3)
    assert (task["review_by"], task["overdue"]) == (str(utc_today() + timedelta(days=180)), False)
    assert (task["reviewed_by"], task["reviewed_at"]) == (None, None)
    rows = list(csv.DictReader(io.StringIO(as_csv.content.decode())))
    assert [row["scope"] for row in rows] == [row["scope"] for row in document["scopes"]]
    assert next(row for row in rows if row["scope"] == "task.read")["purposes"] == '["sync"]'
    for answer, kind in ((as_json, "json"), (as_csv, "csv")):
        assert answer["Content-Disposition"] == f'attachment; filename="permissions-{active.pk}.{kind}"'
        assert "no-store" in answer["Cache-Control"]


def test_purposes_are_told_only_to_who_may_see_them(active: Installation, portal_user: PortalUser) -> None:
    used(active, portal_user, "task", accepted=12, purpose="sync")
    cleo = factories.operator("cleo")
    cleo.user_permissions.add(Permission.objects.get(codename="view_installation"))
    client = signed_in(cleo)

    told = client.get(address(active), {"format": "json"}).json()["scopes"]
    answers = [client.get(address(active), {"format": kind}) for kind in ("", "json", "csv")]

    assert all("sync" not in answer.content.decode() for answer in answers)
    assert {row["purposes"] for row in told} == {None}
    assert next(row for row in told if row["scope"] == "task.read")["accepted"] == 12
    assert {row["purposes"] for row in csv.DictReader(io.StringIO(answers[2].content.decode()))} == {""}


def test_approved_cell_says_by_when_it_is_reviewed_who_reviewed_it_and_that_it_is_overdue(
    auditor: Any, active: Installation
) -> None:
    client = signed_in(auditor)
    assert f"read review by {utc_today() + timedelta(days=180)}" in text(client.get(address(active)))

    keep_scopes(installation_id=active.pk, codes=["task"], review_by=utc_today() + timedelta(days=9), **WHY)
    active.approved_permissions.filter(code="crm.accounts").update(review_by=utc_today() - timedelta(days=1))

    shown = text(client.get(address(active)))
    assert f"read review by {utc_today() + timedelta(days=9)}" in shown
    assert "Last review by shell" in shown
    assert "read review overdue" in shown
    rows = client.get(address(active), {"format": "json"}).json()["scopes"]
    found = {row["scope"]: row for row in rows}
    assert found["task.read"]["reviewed_by"] == "shell"
    assert found["task.read"]["reviewed_at"].startswith(str(utc_today()))
    assert found["crm.accounts.full"]["overdue"] is True
    assert found["fin.read"]["review_by"] is None


def test_scope_that_a_spreadsheet_would_run_is_text_in_the_file(auditor: Any) -> None:
    evil = ["=cmd|' /C calc'!A0", "+1", "@SUM(A1)", "task.read\t=1"]
    application = factories.application("com.example.odd", permissions=[*evil, "task.read"])
    here = factories.installation(application)

    body = signed_in(auditor).get(address(here), {"format": "csv"}).content.decode()

    cells = [row["scope"] for row in csv.DictReader(io.StringIO(body))]
    assert cells[:3] == [f"'{text}" for text in evil[:3]]
    assert all(cell[:1] not in "=+-@" for row in csv.reader(io.StringIO(body)) for cell in row if cell)


# --- Who, how much ---


@pytest.mark.parametrize(
    "value", ["\x00", "x" * 5000, "\u202e\u0661", "<script>alert(1)</script>", "../..", "'--", "9" * 32]
)
def test_question_of_any_text_is_answered_and_repeated_as_text_only(
    auditor: Any, active: Installation, value: str
) -> None:
    client = signed_in(auditor)
    for name in ("module", "model", "action", "id", "user", "format"):
        question = {"module": "crm", "model": "account", "action": "list", name: value}
        page = client.get(address(active), question)

        assert page.status_code == 200, name
        assert "<script>alert" not in page.content.decode()
        what_if = page.context["what_if"]
        assert what_if is None or re.fullmatch(r"[a-z0-9_/]+", what_if.call)  # what passed the grammar of paths


def test_one_of_a_thousand_parameters_too_many_is_refused(auditor: Any, active: Installation) -> None:
    query = "&".join(f"x{number}=1" for number in range(1500))

    assert signed_in(auditor).get(f"{address(active)}?{query}").status_code == 400


def test_page_is_for_those_who_may_see_installations_and_takes_no_form(
    auditor: Any, outsider: Any, active: Installation
) -> None:
    for values in ({}, {"format": "csv"}, {"format": "json"}):
        assert signed_in(outsider).get(address(active), values).status_code == 403
    with nothing_changes():
        assert signed_in(auditor).post(address(active), {"format": "csv"}).status_code == 405
    assert signed_in(auditor).get(url("installations_installation_permissions", object_id=99999)).status_code == 404


def test_names_of_people_are_for_those_who_may_see_them(active: Installation, db: None) -> None:
    viewer = factories.operator("viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_installation"))

    page = signed_in(viewer).get(address(active), {"user": "7"})

    assert page.status_code == 200
    assert b"Ana Ruiz" not in page.content
    assert b'name="user"' not in page.content
    assert json.loads(signed_in(viewer).get(address(active), {"user": "7", "format": "json"}).content)["user"] is None


def test_page_costs_at_most_ten_statements_whatever_its_size(
    auditor: Any, application: Application, settings: Any, django_assert_max_num_queries: Any
) -> None:
    codes = [entry.code for entry in catalogue.load().entries if entry.enabled]
    large = factories.application(
        "com.example.large", permissions=[f"{code}.full" for code in codes] + [f"x{n}.full" for n in range(60)]
    )
    here = factories.installation(large, approved=[f"{code}.full" for code in codes])
    for number in range(20):
        user = factories.launch(large, user_id=str(100 + number)).portal_user
        for code in codes:
            used(here, user, code, purpose="sync")
    client = signed_in(auditor)
    settings.OPERATOR_MFA = "required"
    question = {"user": "100", "module": "crm", "model": "account", "action": "list"}

    with django_assert_max_num_queries(10):
        page = client.get(address(here), question)

    assert page.status_code == 200
    assert len(page.context["lines"]) == len(codes) + 60


def test_manifest_of_thousands_of_scopes_is_cut_on_the_page_and_whole_in_the_file(auditor: Any, db: None) -> None:
    many = [f"unheard.of.{number}" for number in range(5000)]
    here = factories.installation(factories.application("com.example.huge", permissions=many))
    client = signed_in(auditor)

    page = client.get(address(here))

    assert len(page.context["lines"]) == permissions_page.MOST_LINES
    assert "4500 more scopes are not shown here. The files hold all of them." in text(page)
    assert len(client.get(address(here), {"format": "json"}).json()["scopes"]) == 5000
