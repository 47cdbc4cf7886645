"""`create_operator`: the password comes in by standard input, must be good, and is nowhere afterwards."""

import io
import sys

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from installations.models import AuditEvent
from tests import factories
from tests.factories import PASSWORD
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def create(monkeypatch):
    """Run the command with a password on standard input; return what it printed."""

    def create(*arguments, password=f"{PASSWORD}\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(password))
        out = io.StringIO()
        call_command("create_operator", *arguments, stdout=out, stderr=out)
        return out.getvalue()

    return create


def test_operator_may_sign_in_with_the_password_and_do_nothing_yet(create):
    printed = create("ana", "--email", "ana@example.com")

    user = get_user_model().objects.get()
    assert printed == "operator ana created, in no group yet: may sign in and see nothing\n"
    assert (user.username, user.email, user.check_password(PASSWORD)) == ("ana", "ana@example.com", True)
    assert (user.is_staff, user.is_superuser, user.is_active) == (True, False, True)
    assert user.get_all_permissions() == set()


@pytest.mark.parametrize("group", ["Auditor", "Reviewer", "Responder"])
def test_operator_in_a_group(create, group):
    assert create("ana", "--group", group) == f"operator ana created, in group {group}\n"
    assert list(get_user_model().objects.get().groups.values_list("name", flat=True)) == [group]


def test_superuser(create):
    assert create("ana", "--superuser") == "operator ana created, may do everything\n"
    assert get_user_model().objects.get().is_superuser is True


def test_act_is_recorded(create):
    create("ana", "--group", "Reviewer")

    event = last_event()
    assert (event.verb, event.target_kind) == ("operator.created", "operator")
    assert event.target_id == str(get_user_model().objects.get().pk)
    assert (event.actor_kind, event.actor_id, event.via) == ("system", "shell", "command")
    assert event.details == {"group": "Reviewer", "superuser": False}


def test_only_the_first_line_is_the_password(create):
    create("ana", password=f"{PASSWORD}\r\nsecond line\n")

    assert get_user_model().objects.get().check_password(PASSWORD) is True


def test_spaces_of_a_password_are_kept(create):
    create("ana", password=f"  {PASSWORD} \n")

    assert get_user_model().objects.get().check_password(f"  {PASSWORD} ") is True


@pytest.mark.parametrize(
    "password",
    ["", "\n", "short\n", "123456789012\n", "administrator\n", "ana-martinez\n"],
    ids=["none", "empty", "short", "digits", "common", "like-the-name"],
)
def test_weak_password_is_refused(create, password):
    with nothing_changes(), pytest.raises(CommandError, match="password"):
        create("ana-martinez", password=password)


def test_name_that_is_taken_is_refused(create):
    create("ana")

    with nothing_changes(), pytest.raises(CommandError, match="There is an operator named 'ana' already"):
        create("ana")


def test_name_that_looks_the_same_after_normalising_is_taken(create):
    create("ana")

    with nothing_changes(), pytest.raises(CommandError, match="already"):
        create("ａｎａ")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 151])
def test_name_of_other_characters_or_length_is_refused(create, name):
    with nothing_changes(), pytest.raises(CommandError):
        create(name)


@pytest.mark.parametrize("name", ["shell", "Service", "system", "policy", "ｓｈｅｌｌ"])
def test_name_that_the_service_itself_goes_by_is_refused(create, name):
    with nothing_changes(), pytest.raises(CommandError, match="The service itself goes by this name"):
        create(name)


def test_wrong_address_is_refused(create):
    with nothing_changes(), pytest.raises(CommandError, match="email"):
        create("ana", "--email", "ana")


def test_unknown_group_is_refused(create):
    with nothing_changes(), pytest.raises(CommandError, match="invalid choice: 'Admins'"):
        create("ana", "--group", "Admins")


def test_there_is_no_option_for_the_password(create):
    with nothing_changes(), pytest.raises(CommandError, match="unrecognized arguments"):
        create("ana", "--password", PASSWORD)


@pytest.mark.parametrize("name", ["ana", "a b"], ids=["done", "refused"])
def test_password_is_nowhere_but_in_its_hash(create, all_logs, name):
    try:
        printed = create(name)
    except CommandError as error:
        printed = str(error)

    logged = " ".join(record.getMessage() for record in all_logs.records)
    stored = str(list(get_user_model().objects.values())) + str(list(AuditEvent.objects.values()))
    assert PASSWORD not in printed + logged + stored


def test_terminal_is_asked_for_it(monkeypatch):
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt="": asked.append(prompt) or PASSWORD)

    call_command("create_operator", "ana", stdout=io.StringIO())

    assert asked == ["New password: ", "Once more: "]
    assert get_user_model().objects.get().check_password(PASSWORD) is True


# --- changepassword --------------------------------------------------------------------------------------------


@pytest.fixture
def change(monkeypatch):
    def change(name, password):
        monkeypatch.setattr(sys, "stdin", io.StringIO(password))
        out = io.StringIO()
        call_command("changepassword", name, stdout=out, stderr=out)
        return out.getvalue()

    return change


def test_new_password_counts_and_ends_the_sessions_and_the_trail_tells(change, client):
    ana = factories.operator("ana", "Auditor")
    client.force_login(ana)

    assert change("ana", "battery-horse-staple-9\n") == "operator ana: has a new password\n"

    ana.refresh_from_db()
    assert ana.check_password("battery-horse-staple-9")
    assert client.get("/admin/").status_code == 302
    event = last_event()
    assert (event.verb, event.target_id, event.actor_kind) == ("operator.password_changed", str(ana.pk), "system")
    assert event.details == {"sessions": 1}


def test_account_without_a_password_gets_one(change):
    ana = factories.operator("ana")
    ana.set_unusable_password()
    ana.save()

    change("ana", "battery-horse-staple-9\n")

    ana.refresh_from_db()
    assert ana.has_usable_password()


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("ana", "", "short"),
        ("ana", "123456789012\n", "numeric"),
        ("bob", f"{PASSWORD}\n", "no operator named 'bob'"),
        ("plain", f"{PASSWORD}\n", "no operator"),
    ],
)
def test_bad_password_or_nobody_changes_nothing(change, name, password, said):
    factories.operator("ana")
    get_user_model().objects.create_user("plain")

    with nothing_changes(), pytest.raises(CommandError, match=said):
        change(name, password)


@pytest.mark.parametrize(
    ("typed", "is_changed"), [(["battery-horse-staple-9"] * 2, True), (["battery-horse-staple-9", "x"], False)]
)
def test_terminal_is_asked_twice_without_showing_it(monkeypatch, typed, is_changed):
    ana = factories.operator("ana")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = iter(typed)
    monkeypatch.setattr("getpass.getpass", lambda prompt="": next(answers))

    if is_changed:
        call_command("changepassword", "ana", stdout=io.StringIO())
    else:
        with nothing_changes(), pytest.raises(CommandError, match="not the same"):
            call_command("changepassword", "ana", stdout=io.StringIO())
    ana.refresh_from_db()
    assert ana.check_password("battery-horse-staple-9") is is_changed
