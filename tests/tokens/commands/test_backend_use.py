"""Commands about API keys, purposes and service clients: a key comes from standard input, or goes out once."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from installations.models import Application, Installation, Portal
from tests import factories
from tests.unchanged import last_event, nothing_changes
from tokens import backend_reads, vault
from tokens.models import ApiKey, Purpose, ServiceClient

pytestmark = pytest.mark.django_db

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
BY_REVIEWER = ("--operator", "reviewer", "--reason", "A test.")
BY_RESPONDER = ("--operator", "responder", "--reason", "A test.")
PURPOSE = (
    "create_purpose", "nightly", "--acts-as", "system", "--scope", "crm.accounts.read", "--owner", "Us",
    "--description", "Why.",
)  # fmt: skip


@pytest.fixture(autouse=True)
def installation(application: Application, reviewer: Any, responder: Any) -> Installation:
    return factories.installation(application, approved=["crm.accounts.full"])


def run(capsys: Any, *arguments: str) -> tuple[str, str]:
    call_command(*arguments)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_purpose_is_declared_and_switched_off(capsys: Any) -> None:
    out, _ = run(capsys, *PURPOSE, "--last-day", "2099-12-31", *BY_REVIEWER)

    assert out == "purpose nightly declared, switched on\n"
    row = Purpose.objects.get()
    assert (row.acts_as, row.scopes, row.enabled) == ("system", ["crm.accounts.read"], True)
    assert row.expires_at == datetime(2100, 1, 1, tzinfo=UTC)
    assert run(capsys, "switch_off_purpose", "nightly", *BY_RESPONDER)[0] == "purpose nightly is off now\n"
    assert run(capsys, "switch_off_purpose", "nightly", *BY_RESPONDER)[0] == "purpose nightly was off already\n"
    assert last_event().via == "command"


@pytest.mark.parametrize("day", ["31.12.2099", "2099-13-01", "tomorrow", ""])
def test_day_is_a_day(day: str) -> None:
    with nothing_changes(), pytest.raises(CommandError):
        call_command(*PURPOSE, "--last-day", day, *BY_REVIEWER)


def test_key_of_a_client_is_the_only_line_of_standard_output(capsys: Any) -> None:
    factories.purpose("nightly", acts_as="system")
    out, err = run(capsys, "create_service_client", "worker", "--purpose", "nightly", *HERE, *BY_REVIEWER)

    [key] = out.splitlines()
    found = backend_reads.client_of(key)
    assert found is not None
    assert "worker created" in err
    assert key not in err
    row = ServiceClient.objects.get(pk=found.id)
    assert list(row.purposes.values_list("code", flat=True)) == ["nightly"]
    assert list(row.applications.all()) == [Application.objects.get()]
    assert list(row.portals.all()) == [Portal.objects.get()]
    off = run(capsys, "switch_off_service_client", "worker", *BY_RESPONDER)[0]
    assert off == "service client worker is off now\n"
    assert backend_reads.client_of(key) is None


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("create_service_client", "w", "--purpose", "unheard-of", *BY_REVIEWER), "No purpose unheard-of"),
        (("create_service_client", "w", "--app", "com.nobody", *BY_REVIEWER), "No application"),
        (("create_service_client", "w", "--portal", "nobody.flowlu.com", *BY_REVIEWER), "No portal"),
        (("switch_off_service_client", "nobody", *BY_RESPONDER), "no service client named"),
        (("switch_off_purpose", "unheard-of", *BY_RESPONDER), "No purpose unheard-of"),
        (
            ("create_purpose", "x", "--acts-as", "user", "--scope", "un.known", "--owner", "", "--description", "x")
            + BY_REVIEWER,
            "owner: must be 1 to 150 .* scopes: not in the catalogue: un.known",
        ),
        (("revoke_api_key", "--key", "999", *BY_RESPONDER), "no such API key"),
    ],
)
def test_what_does_not_exist_is_said_in_one_line(arguments: tuple[str, ...], refusal: str) -> None:
    with nothing_changes(), pytest.raises(CommandError, match=refusal) as caught:
        call_command(*arguments)
    assert "\n" not in str(caught.value)


def test_api_key_comes_from_standard_input_is_replaced_and_revoked(capsys: Any, monkeypatch: Any) -> None:
    call_command(*PURPOSE, *BY_REVIEWER)
    monkeypatch.setattr("sys.stdin", StringIO("first-api-key\nnot read\n"))
    add = ("add_api_key", *HERE, "--label", "Nightly", "--scope", "crm.accounts.read", "--purpose", "nightly")
    out, err = run(capsys, *add, *BY_REVIEWER)

    row = ApiKey.objects.get()
    assert f"API key #{row.pk} stored" in out
    assert vault.unseal_api_key(str(row.uuid), row.sealed_key or b"") == "first-api-key"
    assert "first-api-key" not in out + err
    monkeypatch.setattr("sys.stdin", StringIO("second-api-key\n"))
    out, _ = run(capsys, "replace_api_key", "--key", str(row.pk), "--overlap-hours", "0", *BY_REVIEWER)
    new = ApiKey.objects.active().get()
    assert out == f"API key #{new.pk} takes the place of API key #{row.pk}; have the old one deleted at Flowlu\n"
    revoke = ("revoke_api_key", "--key", str(new.pk), *BY_RESPONDER)
    assert run(capsys, *revoke)[0] == f"API key #{new.pk} revoked; have it deleted at Flowlu\n"
    assert run(capsys, *revoke)[0] == f"API key #{new.pk} was revoked already\n"


def test_revoking_a_key_names_those_that_it_replaced_and_that_work_on(capsys: Any, monkeypatch: Any) -> None:
    call_command(*PURPOSE, *BY_REVIEWER)
    first = factories.api_key(Installation.objects.get(), "first-api-key", purposes=[Purpose.objects.get()])
    for number, old in ((2, first.pk), (3, first.pk + 1)):
        monkeypatch.setattr("sys.stdin", StringIO(f"api-key-{number}\n"))
        run(capsys, "replace_api_key", "--key", str(old), "--overlap-hours", "2", *BY_REVIEWER)

    out, _ = run(capsys, "revoke_api_key", "--key", str(first.pk + 2), *BY_RESPONDER)

    works_on = "which it replaced, works on until it is revoked too or expires"
    assert out == (
        f"API key #{first.pk + 2} revoked; have it deleted at Flowlu; API key #{first.pk + 1}, {works_on}; "
        f"API key #{first.pk}, {works_on}\n"
    )
    out, _ = run(capsys, "revoke_api_key", "--key", str(first.pk + 1), *BY_RESPONDER)
    assert out == f"API key #{first.pk + 1} revoked; have it deleted at Flowlu; API key #{first.pk}, {works_on}\n"
    out, _ = run(capsys, "revoke_api_key", "--key", str(first.pk), *BY_RESPONDER)
    assert out == f"API key #{first.pk} revoked; have it deleted at Flowlu\n"


@pytest.mark.parametrize("command", ["add_api_key", "replace_api_key"])
def test_missing_key_is_asked_for_where_it_is_read(monkeypatch: Any, command: str) -> None:
    call_command(*PURPOSE, *BY_REVIEWER)
    row = factories.api_key(Installation.objects.get(), "first-api-key", purposes=[Purpose.objects.get()])
    monkeypatch.setattr("sys.stdin", StringIO(""))
    given = {
        "add_api_key": (*HERE, "--label", "Nightly", "--scope", "crm.accounts.read", "--purpose", "nightly"),
        "replace_api_key": ("--key", str(row.pk), "--overlap-hours", "0"),
    }
    with nothing_changes(), pytest.raises(CommandError, match="Give it as the first line of standard input"):
        call_command(command, *given[command], *BY_REVIEWER)


@pytest.mark.parametrize("given", ["", "\n", "two words\n", "first-api-key\n"])
def test_what_is_no_new_key_is_refused_without_repeating_it(monkeypatch: Any, given: str) -> None:
    call_command(*PURPOSE, *BY_REVIEWER)
    factories.api_key(Installation.objects.get(), "first-api-key", purposes=[Purpose.objects.get()])
    monkeypatch.setattr("sys.stdin", StringIO(given))
    add = ("add_api_key", *HERE, "--label", "Nightly", "--scope", "crm.accounts.read", "--purpose", "nightly")

    with nothing_changes(), pytest.raises(CommandError) as caught:
        call_command(*add, *BY_REVIEWER)

    assert given.strip() == "" or given.strip() not in str(caught.value)


ALL = {
    "add_api_key": (*HERE, "--label", "x", "--scope", "crm.accounts.read", "--purpose", "nightly"),
    "create_purpose": PURPOSE[1:],
    "create_service_client": ("worker",),
    "replace_api_key": ("--key", "1", "--overlap-hours", "0"),
    "revoke_api_key": ("--key", "1"),
    "switch_off_purpose": ("nightly",),
    "switch_off_service_client": ("worker",),
}


@pytest.fixture
def nightly(monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("a-key-from-input\n"))
    factories.purpose("nightly", acts_as="system")
    factories.service_client("worker")


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_of_no_or_too_many_characters_is_refused(superuser: Any, command: str, reason: str) -> None:
    with nothing_changes(), pytest.raises(CommandError, match="reason of 1 to 1000 characters"):
        call_command(command, *ALL[command], "--operator", "superuser", f"--reason={reason}")


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("command", ALL)
def test_operator_is_an_active_one_and_named(superuser: Any, command: str) -> None:
    superuser.is_active = False
    superuser.save()
    for name in ("superuser", "nobody"):
        with nothing_changes(), pytest.raises(CommandError, match="no active operator named"):
            call_command(command, *ALL[command], "--operator", name, "--reason", "A test.")
    with nothing_changes(), pytest.raises(CommandError, match="required: --operator, --reason"):
        call_command(command, *ALL[command])
