"""Each task of an operator from its beginning to its end, in both themes.

The console is as in production: a second factor is required, and a second operator for what is of high risk.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.authenticator_app import code_of
from tests.browser.conftest import Stack, started
from tests.browser.test_accessibility import violations
from tests.browser.test_story import expect, mailed_link, open_application, open_installation

pytestmark = pytest.mark.browser

PASSWORD = "battery-horse-staple-9"
_WEEK_LATER = """
from datetime import timedelta
from django.db.models import F
from installations.models import ApprovedPermission
ApprovedPermission.objects.in_force().update(review_by=F("review_by") - timedelta(days=7))
"""
PORTALS = {"light": "acme.flowlu.com", "dark": "globex.flowlu.com"}
Look = Callable[[Any], list[str]]
in_both_themes = pytest.mark.parametrize("color_scheme", PORTALS)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"OPERATOR_MFA": "required", "FOUR_EYES": "on"}
    with started(tmp_path_factory.mktemp("desk"), f"desk_{os.getpid()}", **settings) as one:
        yield one


@pytest.fixture
def look(complaints: list[str]) -> Look:
    """Ask axe-core about a page. What the policy keeps axe-core from is no complaint of the page."""

    def looked(page: Any) -> list[str]:
        before = len(complaints)
        found = violations(page)
        del complaints[before:]
        return found

    return looked


def enrol(page: Any) -> str:
    """Set up an authenticator app where the console asks for one; returns a recovery code."""
    expect(page.locator("#content, #container").first).to_contain_text("Set up a second factor first")
    page.click("#content a[href$='/2fa/totp/activate/']")
    page.wait_for_url("**/reauthenticate/**")
    page.fill("input[name=password]", PASSWORD)
    page.click("#content form button[type=submit]")
    secret = page.input_value("#authenticator_secret")
    page.fill("input[name=code]", code_of(secret))
    page.click("#content form button[type=submit]")
    code = re.search(r"\d{8}", page.locator("#recovery_codes").input_value())
    assert code is not None
    return code[0]


def come_in(desk: Stack, page: Any, name: str) -> None:
    """Make an operator, who signs in for the first time."""
    desk.manage("create_operator", name, "--superuser", "--email", f"{name}@example.com", stdin=f"{PASSWORD}\n")
    give_password(desk, page, name)
    enrol(page)
    page.goto(f"{desk.service}/admin/")
    expect(page.locator("#user-tools")).to_contain_text(name)


def give_password(desk: Stack, page: Any, name: str) -> None:
    page.goto(f"{desk.service}/admin/")
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", PASSWORD)
    page.click("#content button[type=submit]")


def confirm(page: Any, reason: str) -> None:
    """Give the reason on the page of an act, press its button, and wait until something is said of it."""
    page.fill("textarea[name=reason]", reason)
    page.click("#content form button.act[type=submit]")
    page.locator(".messagelist, .errorlist, .errornote").first.wait_for()
    assert [error.inner_text() for error in page.locator(".errorlist, .errornote").all()] == []


def connected(desk: Stack, page: Any, portal: str) -> Any:
    """Open the application as a portal user who sees the accounts."""
    common = ("--portal", portal, "--app", "com.example.desk", "--operator", "operator", "--reason", "For a test.")
    frame = open_application(page, desk, portal, "1")
    frame.locator("#user-name").wait_for()
    desk.manage("approve_scopes", *common, "crm.accounts.read")
    page.reload()
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()
    return frame


@in_both_themes
def test_invited_operator_sets_up_a_second_factor_and_comes_back_with_it(
    desk: Stack, open_page: Any, complaints: list[str], look: Look, color_scheme: str
) -> None:
    boss, guest = open_page(color_scheme=color_scheme), open_page(color_scheme=color_scheme)
    come_in(desk, boss, f"boss-{color_scheme}")
    name, address, found = f"nina-{color_scheme}", f"nina-{color_scheme}@example.com", []

    # when somebody who manages operators invites by mail
    boss.click("#content a[href='/admin/flowlu_admin/invitation/']")
    boss.click("ul.object-tools a[href$='/new/']")
    boss.fill("input[name=email]", address)
    boss.check("input[name=groups][value=Reviewer]")
    confirm(boss, "She joins.")
    expect(boss.locator(".messagelist")).to_contain_text(f"{address} was invited")
    # then the link makes an account, and the console opens behind a second factor only
    guest.goto(mailed_link(desk, address))
    guest.wait_for_url("**/accounts/invitation/account/")
    guest.fill("input[name=username]", name)
    for field in ("password", "again"):
        guest.fill(f"input[name={field}]", PASSWORD)
    guest.click("button[type=submit].act-go")
    guest.wait_for_url("**/accounts/2fa/")
    found += look(guest)
    guest.goto(f"{desk.service}/admin/installations/installation/")
    assert guest.url.endswith("/accounts/2fa/")
    code = enrol(guest)
    found += look(guest)
    guest.goto(f"{desk.service}/admin/")
    expect(guest.locator("#user-tools")).to_contain_text(name)

    # when she comes back, then the password alone opens nothing, and the second factor does
    guest.click("#logout-form button")
    give_password(desk, guest, name)
    guest.wait_for_url("**/2fa/authenticate/")
    found += look(guest)
    guest.fill("input[name=code]", "000000")
    guest.get_by_role("button", name="Sign in").click()
    expect(guest.locator(".errorlist")).to_be_visible()
    guest.fill("input[name=code]", code)
    guest.get_by_role("button", name="Sign in").click()
    guest.wait_for_url(f"{desk.service}/admin/")
    # and her own page says what was done in her name
    guest.click("#user-tools .who a")
    expect(guest.locator("#content")).to_contain_text("What they did last")
    found += look(guest)
    assert found == []
    assert complaints == []


@in_both_themes
def test_high_risk_takes_two_operators_and_is_reviewed_when_its_day_comes(
    desk: Stack, open_page: Any, complaints: list[str], look: Look, color_scheme: str
) -> None:
    portal, found = PORTALS[color_scheme], []
    user, first, second = (open_page(color_scheme=color_scheme) for _ in range(3))
    come_in(desk, first, f"first-{color_scheme}")
    come_in(desk, second, f"second-{color_scheme}")
    frame = open_application(user, desk, portal, "1")
    expect(frame.locator("#accounts")).to_contain_text("has yet to approve")

    # when one operator approves what is of high risk
    first.goto(f"{desk.service}/admin/")
    first.get_by_role("link", name=re.compile("waits? for approval")).click()
    first.locator("#result_list tbody th a", has_text="Customer Desk").first.wait_for()
    open_installation(first, desk, portal)
    first.click("#content a.act[href$='/approve/']")
    # (without a reason nothing is lost, and the page says what is missing)
    first.check("input[value='crm.accounts.full']")
    first.fill("input[name=review_by]", (datetime.now(UTC) + timedelta(days=7)).date().isoformat())
    first.click("#content form button.act[type=submit]")
    expect(first.locator(".errorlist").first).to_contain_text("Give a reason")
    expect(first.locator("input[value='crm.accounts.full']")).to_be_checked()
    found += look(first)
    confirm(first, "The desk edits accounts.")
    # then it is asked for, and whoever asked cannot confirm it
    expect(first.locator(".messagelist")).to_contain_text("Asked for, not approved yet")
    first.click(".messagelist a")
    expect(first.locator("#content")).to_contain_text("waits for a second operator")
    expect(first.locator("#content a.act[href$='/confirm/']")).to_have_count(0)
    asked_at = first.url
    frame.locator("#accounts-check").click()
    expect(frame.locator("#accounts")).to_contain_text("has yet to approve")

    # when a second one finds and confirms it
    second.goto(f"{desk.service}/admin/")
    second.get_by_role("link", name=re.compile("waits? for a second operator")).click()
    second.click("#result_list tbody th a")
    second.wait_for_url(f"{asked_at}*")
    found += look(second)
    second.click("#content a.act[href$='/confirm/']")
    expect(second.locator("#content")).to_contain_text("The desk edits accounts.")
    found += look(second)
    confirm(second, "Agreed.")
    # then it is in force
    expect(second.locator(".messagelist")).to_contain_text("Approved on 1 installation: crm.accounts.full")
    frame.locator("#accounts-check").click()
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()

    # when its day of review has come, then the first page leads to the queue, where it is lowered
    desk.manage("shell", "-c", _WEEK_LATER)
    second.goto(f"{desk.service}/admin/")
    second.get_by_role("link", name=re.compile("(is|are) due for review")).click()
    row = second.locator("#result_list tbody tr", has_text=portal)
    found += look(second)
    row.get_by_role("link", name=re.compile("^lower ", re.IGNORECASE)).click()
    found += look(second)
    confirm(second, "They only read.")
    expect(second.locator(".messagelist")).to_contain_text("crm.accounts")
    expect(second.locator("#result_list tbody tr", has_text=portal)).to_have_count(0)
    assert found == []
    assert complaints == []


@in_both_themes
def test_revocation_shows_beforehand_what_it_cuts_and_afterwards_that_it_holds(
    desk: Stack, open_page: Any, complaints: list[str], look: Look, color_scheme: str
) -> None:
    portal = PORTALS[color_scheme]
    user, operator = open_page(color_scheme=color_scheme), open_page(color_scheme=color_scheme)
    come_in(desk, operator, f"reva-{color_scheme}")
    frame = connected(desk, user, portal)

    open_installation(operator, desk, portal)
    operator.click("#content a.act[href*='/installation/'][href$='/revoke/']")
    expect(operator.locator("#content")).to_contain_text("What would be cut")
    expect(operator.locator(".numbers")).to_contain_text(re.compile(r"[1-9]\d* open sessions?"))
    found = look(operator)
    # when nothing is confirmed, then nothing is cut
    operator.click("#content a.cancel")
    frame.locator("#accounts-next").click()
    expect(frame.locator("#accounts-range")).to_contain_text("11 to")

    operator.click("#content a.act[href*='/installation/'][href$='/revoke/']")
    confirm(operator, "A phone was lost.")
    # then the message leads to the ledger, which has the proof
    operator.locator(".messagelist a", has_text="evocation #").click()
    expect(operator.locator("#content")).to_contain_text("a probe was refused")
    found += look(operator)
    frame.locator("#accounts-previous").click()
    expect(frame.locator("#notice-text")).to_contain_text("was revoked")

    # when the operator goes back to the form and sends it once more, then no harm is done
    operator.go_back()
    operator.go_back()
    confirm(operator, "Pressed twice.")
    expect(operator.locator(".messagelist")).to_contain_text("othing")
    assert found == []
    assert complaints == []


@in_both_themes
def test_emergency_lock_holds_at_once_and_is_taken_back(
    desk: Stack, open_page: Any, complaints: list[str], look: Look, color_scheme: str
) -> None:
    portal = PORTALS[color_scheme]
    user, operator = open_page(color_scheme=color_scheme), open_page(color_scheme=color_scheme)
    come_in(desk, operator, f"lock-{color_scheme}")
    frame = connected(desk, user, portal)

    # when the operator finds the portal by the keyboard and locks it
    operator.keyboard.press("/")
    operator.keyboard.type(portal.removesuffix(".flowlu.com"))
    operator.keyboard.press("Enter")
    operator.wait_for_url("**/admin/search/?q=*")
    operator.click("#content a[href*='/installations/portal/']")
    operator.click("#content a.act[href$='/lock/']")
    expect(operator.locator("#content")).to_contain_text("What does not stop")
    found = look(operator)
    confirm(operator, "Something is wrong there.")
    # then every call is refused, and the first page says that a portal is locked
    frame.locator("#accounts-next").click()
    expect(frame.locator("#notice-text")).to_contain_text("locked")
    operator.goto(f"{desk.service}/admin/")
    operator.get_by_role("link", name=re.compile("portals? (is|are) locked")).click()
    expect(operator.locator("#result_list")).to_contain_text(portal)

    # when it is unlocked, then the page works again
    operator.click(f"#result_list a:has-text('{portal}')")
    operator.click("#content a.act[href$='/unlock/']")
    confirm(operator, "It is clear now.")
    user.reload()
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()
    assert found == []
    assert complaints == []


@in_both_themes
def test_leaked_token_is_found_and_cut_without_being_shown(
    desk: Stack, open_page: Any, complaints: list[str], look: Look, color_scheme: str
) -> None:
    portal, handed_in = PORTALS[color_scheme], []
    user, operator = open_page(color_scheme=color_scheme), open_page(color_scheme=color_scheme)
    come_in(desk, operator, f"leak-{color_scheme}")
    user.on("request", lambda sent: handed_in.append(sent) if sent.url.endswith("/api/v1/session") else None)
    frame = connected(desk, user, portal)
    token = [sent.post_data_json for sent in handed_in if sent.method == "POST"][-1]["access_token"]
    addresses: list[str] = []
    operator.on("request", lambda sent: addresses.append(sent.url))

    # when the token is pasted into the search, then it is not sent, and the desk is named
    operator.fill("#console-search", token)
    operator.press("#console-search", "Enter")
    expect(operator.locator("#search-refused")).to_be_visible()
    operator.click("#search-refused a")
    operator.wait_for_url("**/leaked/")
    # when it is handed to the desk
    operator.fill("textarea[name=pasted]", f"Authorization: Bearer {token}")
    operator.get_by_role("button", name="Look up").click()
    expect(operator.locator(".numbers")).to_contain_text("1 stored and not revoked")
    found = look(operator)
    assert token not in operator.content()
    confirm(operator, "It stood in a log.")
    # then it is cut, and nobody sees it anywhere
    expect(operator.locator(".messagelist")).to_contain_text("1 token revoked")
    assert token not in operator.content()
    assert [address for address in addresses if token in address] == []
    frame.locator("#accounts-next").click()
    expect(frame.locator("#notice-text")).to_contain_text("was revoked")
    assert found == []
    assert complaints == []


@in_both_themes
def test_keys_and_periodic_jobs_are_seen_from_every_page(
    desk: Stack, open_page: Any, complaints: list[str], look: Look, color_scheme: str
) -> None:
    page = open_page(color_scheme=color_scheme)
    come_in(desk, page, f"keys-{color_scheme}")

    page.click(".footnote a[href='/admin/state/']")

    for ring in ("TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY"):
        expect(page.locator("#content tbody tr", has_text=ring)).to_contain_text("newest")
    expect(page.locator("#content tbody tr", has_text="tell_upstream")).to_contain_text("Tells Flowlu")
    assert look(page) == []
    assert complaints == []
