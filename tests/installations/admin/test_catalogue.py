"""The scope catalogue in the console: read, edited with its effect shown first, compared, exported, imported."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from installations import catalogue, editions
from installations.models import CatalogueEdition, Installation
from tests import factories
from tests.catalogues import NOTHING, bring_in, edit, entry, save, tamper
from tests.installations.admin.console import entry_body, messages, pin, pinned, seen, signed_in, text, url
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db
NAME = "installations_catalogueedition"
CATALOGUE, IMPORT, NEW = (url(f"{NAME}_{page}") for page in ("catalogue", "import_catalogue", "new_entry"))
REASON = {"reason": "As documented."}


def of(page: str, code: str) -> str:
    return url(f"{NAME}_{page}", code=code)


@pytest.fixture
def client(reviewer: Any) -> Client:
    return signed_in(reviewer)


@pytest.fixture
def approved(application: Any) -> Installation:
    return factories.installation(application, approved=["crm.accounts.full", "fin.read"])


def test_list_says_of_each_scope_what_it_is(client: Client, approved: Installation) -> None:
    save(entry("warehouse", enabled=False))
    edit("fin", "fin/invoice")

    page = client.get(CATALOGUE)

    read = text(page)
    assert "Edition 2 is in force." in read
    assert "fin Finance" in read
    rows = {str(row[0]): [str(cell) for cell in row] for row in page.context["table"].rows}
    cells = {
        code: next(row for link, row in rows.items() if f">{code}<" in link) for code in ("fin", "st", "warehouse")
    }
    assert "override" in cells["fin"][4]
    assert cells["fin"][5] == "1"
    assert "assumption" in cells["st"][4]
    assert "off" in cells["st"][4]
    assert "own" in cells["warehouse"][4]
    assert cells["warehouse"][5] == "0"


@pytest.mark.parametrize(
    ("sought", "codes"),
    [
        ("invoice_item", ["fin"]),
        ("OVERRIDDEN", ["fin"]),
        ("nothing of this kind", []),
        ("crm.", ["crm", "crm.accounts", "crm.deals"]),
    ],
)
def test_list_is_searched(client: Client, sought: str, codes: list[str]) -> None:
    save(entry("warehouse"))
    edit("fin", title="Money")

    page = client.get(CATALOGUE, {"q": sought})

    found = [row[0] for row in page.context["table"].rows]
    missing = [code for code in codes if not any(f">{code}<" in link for link in found)]
    assert (page.context["count"], missing) == (len(codes), [])


def test_pages_cost_the_same_for_many_entries_and_editions(client: Client, approved: Installation) -> None:
    save(entry("warehouse"))
    edition = url(f"{NAME}_change", 1)

    def costs() -> list[int]:
        found = []
        for where in (CATALOGUE, of("entry", "warehouse"), of("edit_entry", "warehouse"), edition):
            client.get(where)
            with CaptureQueriesContext(connection) as statements:
                assert client.get(where).status_code == 200
            found.append(len(statements))
        return found

    before = costs()
    for number in range(12):
        save(entry(f"code{number}"))
    factories.installation(approved.application, portal="globex.flowlu.com", approved=["crm.accounts.full"])
    assert costs() == before
    assert max(before) <= 13, before


def test_entry_is_explained_with_what_it_reaches(client: Client, approved: Installation) -> None:
    page = client.get(of("entry", "crm.accounts"))
    read = text(page)
    assert "crm: account, every action" in read
    assert "Approvals in force 1" in read
    assert "Compared with the shipped entry" not in read

    edit("crm.accounts", "crm/account", "fin/invoice")
    read = text(client.get(of("entry", "crm.accounts")))
    assert "wider fin: invoice, every action" in read
    assert "narrower crm: account_category, every action" in read
    assert client.get(of("entry", "no.such")).status_code == 404


def test_edit_is_shown_first_and_then_saved(client: Client, approved: Installation) -> None:
    where = of("edit_entry", "crm.accounts")
    body = seen(client.get(where)) | {"covers": "crm/account\ncrm/lead: list", "read_risk": "high", **REASON}

    with nothing_changes():
        shown = client.post(where, body)
    read = text(shown)
    assert "1 approval in force reaches less through it." in read
    assert "wider crm: lead, list" in read
    assert "narrower crm: account_category, every action" in read
    assert "risk read: medium becomes high" in read
    assert "Nothing is saved yet" in read
    assert "Compared with the shipped entry" in read

    saved = client.post(where, body | pin(shown), follow=True)

    assert messages(saved) == ["Saved as edition 1, in force from now on. 1 approval in force reaches less through it."]
    known = editions.in_force().described("crm.accounts")
    assert known is not None
    assert known.models == ("account", "lead")
    assert (last_event().verb, last_event().target_id, last_event().via) == (
        "catalogue.entry_saved",
        "crm.accounts",
        "admin",
    )


def test_what_was_changed_after_it_was_shown_is_shown_again(client: Client) -> None:
    where = of("edit_entry", "fin")
    body = seen(client.get(where)) | {"title": "Money", **REASON}
    shown = pin(client.post(where, body))

    with nothing_changes():
        again = client.post(where, body | shown | {"covers": "fin/*\ncrm/*"})
    assert "wider crm: every model, every action" in text(again)
    with nothing_changes():
        client.post(where, body | {"pinned": "forged"})


def test_page_that_is_stale_saves_nothing(client: Client) -> None:
    where = of("edit_entry", "fin")
    body = seen(client.get(where)) | {"title": "Money", **REASON}
    body |= pin(client.post(where, body))
    save(entry("warehouse"))

    with nothing_changes():
        refused = client.post(where, body)
        assert "edition 1 is in force. Look at it again" in text(refused)
        assert "edited while you were reading" in text(client.post(where, body | {"title": "More money"}))
        no_page = client.post(where, body | {"seen": ""})
    assert "This page cannot be read any more" in text(no_page)


def test_repeat_changes_nothing(client: Client) -> None:
    where = of("edit_entry", "fin")
    body = seen(client.get(where)) | REASON
    shown = client.post(where, body)
    assert "Nothing: this is in force already." in text(shown)
    with nothing_changes():
        done = client.post(where, body | pin(shown), follow=True)
    assert messages(done) == ["Nothing changed: this is what the entry says already."]


def test_new_entry_is_made_and_a_known_code_is_not_made_again(client: Client) -> None:
    body = {**entry_body(), **REASON}
    body |= pinned(client, NEW, body, NEW.rstrip("/").replace("/new", "_new_entry"))
    assert messages(client.post(NEW, body, follow=True))[0].startswith("Saved as edition 1")
    made = editions.in_force().described("garage")
    assert made is not None
    assert (made.models, made.documented, made.enabled) == ((), False, True)

    body = {**entry_body(code="fin"), **REASON}
    body |= pinned(client, NEW, body, "_new_entry")
    with nothing_changes():
        assert "There is an entry for fin already" in text(client.post(NEW, body))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"code": "warehouse.read"}, "code: the level is not part of a code"),
        ({"covers": "garage"}, "line 1 must be like fin/invoice"),
        ({"covers": "\n"}, "This field is required."),
        ({"covers": "garage/*\n\ngarage/car: Get"}, "line 3 must be like"),
        ({"models": "Über"}, "models: at most 200 names"),
        ({"full_risk": "huge"}, "Select a valid choice"),
        ({"title": ""}, "This field is required."),
    ],
)
def test_what_cannot_be_an_entry_is_refused_with_its_place(
    client: Client, values: dict[str, str], message: str
) -> None:
    body = {**entry_body(), **REASON, **values}
    with nothing_changes():
        answer = client.post(NEW, body | pin(client.get(NEW)))
    assert message in text(answer)
    assert answer.status_code == 200


def test_sentences_keep_no_line_breaks(client: Client) -> None:
    body = {**entry_body(meaning="One.\r\nTwo."), **REASON}
    body |= pinned(client, NEW, body, "_new_entry")
    client.post(NEW, body)
    made = editions.in_force().described("garage")
    assert made is not None
    assert made.meaning == "One. Two."


def test_override_is_taken_back_after_its_effect_was_shown(client: Client, approved: Installation) -> None:
    edit("fin", "fin/invoice")
    save(entry("warehouse"))
    where = of("take_back", "fin")

    page = client.get(where)
    assert "1 approval in force reaches again what was approved then" in text(page)
    assert "The shipped entry counts again." in text(page)
    assert "warehouse is unknown again" in text(client.get(of("take_back", "warehouse")))
    done = client.post(where, pin(page) | REASON, follow=True)

    assert messages(done)[0].startswith("Saved as edition 3")
    assert editions.in_force().coverage["fin"] == catalogue.load().coverage["fin"]
    assert client.get(where).status_code == 404
    assert client.get(of("take_back", "crm")).status_code == 404


def test_import_is_shown_first_also_from_a_file(client: Client) -> None:
    document = catalogue.written([entry("warehouse")])
    file = SimpleUploadedFile("own.json", document)
    assert 'enctype="multipart/form-data"' in client.get(IMPORT).content.decode(), "a browser sends no file without"
    with nothing_changes():
        shown = client.post(IMPORT, {"file": file, **REASON, **pin(client.get(IMPORT))})
    assert "warehouse new, covers more" in text(shown)
    assert shown.context["form"]["document"].value() == document.decode()

    body = {"document": shown.context["form"]["document"].value(), **REASON, **pin(shown)}
    assert messages(client.post(IMPORT, body, follow=True))[0].startswith("Saved as edition 1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"document": ""}, "Either paste the catalogue or choose a file."),
        ({"document": "[]"}, "the catalogue must be an object"),
        ({"document": '{"schema":1,"scopes":[{}]}'}, "scopes[0]: members missing"),
    ],
)
def test_what_is_no_catalogue_is_refused(client: Client, body: dict[str, str], message: str) -> None:
    with nothing_changes():
        assert message in text(client.post(IMPORT, body | REASON | pin(client.get(IMPORT))))
        big = SimpleUploadedFile("own.json", b" " * (1024 * 1024 + 1))
        assert "larger than 1 MiB" in text(client.post(IMPORT, {"file": big, **REASON, **pin(client.get(IMPORT))}))


def test_many_changes_are_shown_in_part(client: Client) -> None:
    document = catalogue.written(entry(f"code{number}") for number in range(130)).decode()
    shown = client.post(IMPORT, {"document": document, **REASON, **pin(client.get(IMPORT))})
    assert "30 more are not shown here." in text(shown)
    save(entry("first"))
    client.post(IMPORT, {"document": document, **REASON, **pin(client.get(IMPORT))})

    bring_in(document)
    assert "more are left out here" in text(client.get(url(f"{NAME}_change", 2)))


@pytest.mark.parametrize("part", ["", "own"])
def test_export_is_what_import_takes(client: Client, part: str) -> None:
    save(entry("warehouse", title="<b>"))
    answer = client.get(url(f"{NAME}_export"), {"part": part})

    assert answer["Content-Disposition"].startswith('attachment; filename="scope-catalogue-')
    assert b"<" not in answer.content
    codes = {each.code for each in catalogue.parse_entries(answer.content)}
    assert codes == ({"warehouse"} if part else {each.code for each in editions.in_force().entries})


def test_older_edition_is_exported_to_mend_a_damaged_one(client: Client) -> None:
    save(entry("warehouse"))
    save(entry("garage"))
    tamper("document", "x")
    where = url(f"{NAME}_export")

    older = client.get(where, {"edition": "1"})
    assert [each.code for each in catalogue.parse_entries(older.content)] == ["warehouse"]
    assert 'filename="scope-catalogue-operators-1.json"' in older["Content-Disposition"]
    for query in ({}, {"part": "own"}, {"edition": "2"}):
        refused = client.get(where, query)
        assert (refused.status_code, refused["Content-Type"]) == (409, "text/plain; charset=utf-8")
        assert refused.content.startswith(b"Edition 2 of the scope catalogue is damaged")
    assert [client.get(where, {"edition": odd}).status_code for odd in ("7", "x", "9" * 30, "-1")] == [404] * 4
    assert "?edition=1" in client.get(url(f"{NAME}_change", 1)).content.decode()


def test_editions_are_listed_and_any_two_are_compared(client: Client) -> None:
    save(entry("warehouse"), reason="First.")
    edit("fin", "fin/invoice", title="Money")
    save(entry("garage"))

    listed = text(client.get(url(f"{NAME}_changelist")))
    assert "First." in listed
    page = text(client.get(url(f"{NAME}_change", 3)))
    assert "What it changed since edition 2" in page
    assert "garage new, covers more" in page
    assert "fin: every other model" not in page
    page = text(client.get(url(f"{NAME}_change", 3), {"against": "0"}))
    assert "What it changed of the shipped catalogue" in page
    assert "fin: every other model, every action" in page
    page = text(client.get(url(f"{NAME}_change", 1), {"against": "3"}))
    assert "garage gone, covers less" in page
    assert "There is no edition 77." in text(client.get(url(f"{NAME}_change", 1), {"against": "77"}))
    assert "since edition 2" in text(client.get(url(f"{NAME}_change", 3), {"against": "x"}))


def test_damage_is_said_and_only_an_import_is_offered(client: Client, superuser: Any) -> None:
    save(entry("warehouse"))
    save(entry("garage"))
    editions.in_force()
    with CaptureQueriesContext(connection):
        tamper("document", "x")
    assert "Edition 2 is damaged" in text(client.get(CATALOGUE))
    assert [label for _url, label in client.get(CATALOGUE).context["links"]] == ["Import"]
    assert "Edition 2 of the scope catalogue is damaged" in text(client.get("/admin/"))
    assert "An edition is damaged" in text(client.get(url(f"{NAME}_change", 2)))
    assert client.get(of("entry", "fin")).status_code == 404
    body = {**entry_body(), **REASON}
    assert "is damaged, so its entries are not known" in text(client.post(NEW, body | pin(client.get(NEW))))

    body = {"document": NOTHING.decode(), **REASON}
    body |= pinned(client, IMPORT, body, "_import_catalogue")
    client.post(IMPORT, body)
    assert CatalogueEdition.objects.count() == 3
    assert "is damaged" not in text(client.get(CATALOGUE))


@pytest.mark.parametrize("role", ["auditor", "responder"])
def test_who_only_looks_is_offered_nothing(role: str, request: pytest.FixtureRequest) -> None:
    looking = signed_in(request.getfixturevalue(role))
    assert looking.get(CATALOGUE).context["links"] == []
    assert looking.get(of("entry", "fin")).context["links"] == []
    with nothing_changes():
        assert looking.post(of("edit_entry", "fin"), {**entry_body(), **REASON}).status_code == 403


def test_operator_without_the_view_of_approvals_sees_no_counts(outsider: Any) -> None:

    outsider.user_permissions.add(Permission.objects.get(codename="view_catalogueedition"))
    looking = signed_in(outsider)
    assert "Approvals in force" not in text(looking.get(CATALOGUE))
    assert "Approvals in force" not in text(looking.get(of("entry", "fin")))
    assert "History in the audit trail" not in text(looking.get(of("entry", "fin")))


def test_menu_leads_to_the_catalogue(client: Client) -> None:
    page = client.get("/admin/").content.decode()
    assert f'href="{CATALOGUE}"' in page
    assert "Scope catalogue" in page
