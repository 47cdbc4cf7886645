"""Editing the scope catalogue: each edit is the next edition, with its event; nothing is lost or overwritten."""

import json
from dataclasses import replace
from typing import Any

import pytest

from installations import catalogue, catalogue_editing, editions
from installations.approving import Seen
from installations.catalogue import CatalogueEntry, LevelMeaning, Origin
from installations.catalogue_changes import Touched
from installations.errors import CatalogueNotTaken, NotPermitted, ReasonRequired, StateConflict, UnknownScope
from installations.models import CatalogueEdition, Installation
from installations.services import approve_scopes, withhold_scopes
from tests import factories
from tests.catalogues import WHY, bring_in, edit, entry, save, take_back, tamper
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db


def test_saved_entry_is_the_next_edition_and_is_recorded(reviewer: Any) -> None:
    actor = factories.actor(reviewer)
    save(entry("garage"))
    done = save(entry("warehouse", "warehouse/stock"), actor=actor, reason=" They documented it. ")

    row = CatalogueEdition.objects.get(number=2)
    assert (row.saved_by, row.reason, row.shipped) == ("reviewer", "They documented it.", catalogue.load().version)
    assert [each.code for each in editions.own_entries(row)] == ["garage", "warehouse"]
    assert (done.changed, done.catalogue.edition, done.touched) == (True, 2, Touched())
    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("catalogue.entry_saved", "catalogue", "warehouse")
    assert (event.actor_name, event.reason, event.installation_id) == ("reviewer", "They documented it.", None)
    assert event.details == {
        "edition": 2,
        "sha256": row.sha256,
        "shipped": row.shipped,
        "changes": [
            {
                "code": "warehouse",
                "change": "new, covers more",
                "wider": ["warehouse: stock, every action"],
                "narrower": [],
                "risks": [],
            }
        ],
        "count": 1,
        "approvals_reaching_less": 0,
        "approvals_reaching_again": 0,
    }


def test_edit_counts_the_approvals_that_it_touches(active: Installation) -> None:
    factories.approve(active, "crm.accounts.read")
    factories.approve(factories.installation(active.application, portal="globex.flowlu.com"), "crm.accounts.full")
    gone = factories.installation(active.application, portal="gone.flowlu.com", approved=["crm.accounts.full"])
    Installation.objects.filter(pk=gone.pk).update(status="uninstalled", uninstalled_at="2026-04-01T00:00:00Z")

    assert edit("crm.accounts", "crm/account").touched == Touched(less=2)
    assert edit("crm.accounts", "crm/account/list", "crm/lead").touched == Touched(less=2)
    assert edit("crm.accounts", "crm/account/list", "crm/account/delete").touched == Touched(again=1)
    assert last_event().details["approvals_reaching_again"] == 1


def test_saving_the_same_again_changes_nothing() -> None:
    save(entry("warehouse"))
    with nothing_changes():
        assert save(entry("warehouse")).changed is False
        assert take_back("fin").changed is False
        assert take_back("no.such").changed is False
        assert bring_in(CatalogueEdition.objects.get().document).changed is False


def test_shipped_words_and_rules_take_the_override_back() -> None:
    shipped = catalogue.load().described("fin")
    assert shipped is not None
    edit("fin", "fin/invoice")
    assert editions.in_force().origin("fin") is Origin.OVERRIDDEN

    save(shipped)

    assert editions.in_force().origin("fin") is Origin.SHIPPED
    assert CatalogueEdition.objects.get(number=2).document == '{"schema":1,"scopes":[]}'


def test_override_is_taken_back_and_an_own_code_becomes_unknown() -> None:
    save(entry("warehouse"))
    edit("fin", "fin/invoice")

    take_back("fin", reason="Wrong.")
    assert editions.in_force().coverage["fin"] == catalogue.load().coverage["fin"]
    assert (last_event().verb, last_event().target_id, last_event().reason) == (
        "catalogue.override_removed",
        "fin",
        "Wrong.",
    )
    assert last_event().details["changes"][0]["change"] == "covers more, other words"

    take_back("warehouse")
    assert editions.in_force().get("warehouse") is None
    assert editions.in_force().edition == 4


def test_import_puts_its_entries_in_the_place_of_all_others() -> None:
    save(entry("warehouse"))
    document = catalogue.written([entry("garage"), *catalogue.load().entries])

    done = bring_in(document)

    assert [change.code for change in done.changes] == ["garage", "warehouse"]
    assert [code for code in editions.in_force().coverage if code in ("garage", "warehouse")] == ["garage"]
    assert [each.code for each in editions.own_entries(CatalogueEdition.objects.get(number=2))] == ["garage"]
    assert (last_event().verb, last_event().target_id) == ("catalogue.imported", "2")


def test_whole_catalogue_that_was_exported_is_imported_without_a_change() -> None:
    save(entry("warehouse"))
    edit("fin", "fin/invoice")
    whole = catalogue.written(editions.in_force().entries)

    with nothing_changes():
        assert bring_in(whole).changed is False


def test_stale_edit_is_refused() -> None:
    save(entry("warehouse"), seen=0)
    for verb in (
        lambda: save(entry("garage"), seen=0),
        lambda: take_back("warehouse", seen=0),
        lambda: bring_in(b'{"schema":1,"scopes":[]}', seen=2),
    ):
        with nothing_changes(), pytest.raises(StateConflict, match="edition 1 is in force"):
            verb()
    assert save(entry("garage"), seen=1).catalogue.edition == 2


@pytest.mark.parametrize("role", ["auditor", "responder", "outsider"])
def test_who_may_not_edit_changes_nothing(role: str, request: pytest.FixtureRequest) -> None:
    actor = factories.actor(request.getfixturevalue(role))
    with nothing_changes():
        for verb in (
            lambda: save(entry("garage"), actor=actor),
            lambda: take_back("fin", actor=actor),
            lambda: bring_in(b'{"schema":1,"scopes":[]}', actor=actor),
        ):
            with pytest.raises(NotPermitted):
                verb()
        with pytest.raises(ReasonRequired):
            save(entry("garage"), reason=" ")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"code": "crm.read"}, "code: the level is not part of a code"),
        ({"code": "c m"}, "code: "),
        ({"title": " "}, "title: must be a text that is not empty"),
        ({"title": "x" * 101}, "title: has more than 100 characters"),
        ({"meaning": "x" * 1001}, "meaning: has more than 1000 characters"),
        ({"covers": ()}, "covers: must not be empty"),
        (
            {"models": ("stock",), "covers": entry("w", "w/other").covers},
            "models: must be the models that covers names",
        ),
        ({"models": ("Über",)}, "models: at most 200 names"),
        ({"read": LevelMeaning("x", "huge", "x")}, "read.risk: must be one of low, medium, high"),  # type: ignore[arg-type]
    ],
)
def test_entry_that_a_file_could_not_hold_is_refused(values: dict[str, Any], message: str) -> None:
    with nothing_changes(), pytest.raises(CatalogueNotTaken, match=f"^catalogue_invalid: {message}"):
        save(replace(entry("warehouse"), **values))


@pytest.mark.parametrize("document", [b"", b"[]", b'{"schema":1}', '{"schema":1,"scopes":[{}]}', b'{"a":1,"a":1}'])
def test_file_that_is_no_catalogue_is_refused(document: str | bytes) -> None:
    with nothing_changes(), pytest.raises(CatalogueNotTaken):
        bring_in(document)


def test_one_more_than_a_file_may_hold_is_refused() -> None:
    level = LevelMeaning("x" * 1000, "low", "x" * 1000)
    long: dict[str, Any] = {"meaning": "x" * 1000, "source": "x" * 1000, "read": level, "full": level}
    bring_in(catalogue.written(entry(f"a{number}", **long) for number in range(156)))
    wide = entry("b", *(f"b/model_number_{rule}" for rule in range(200)), **long)

    with nothing_changes(), pytest.raises(CatalogueNotTaken, match="would have more than 1048576 bytes"):
        save(wide)


def test_as_many_entries_as_an_export_may_hold_are_taken_and_no_more() -> None:
    shipped = len(catalogue.load().entries)
    bring_in(catalogue.written(entry(f"a{number}") for number in range(catalogue.MAX_ENTRIES - shipped)))

    with nothing_changes(), pytest.raises(CatalogueNotTaken, match="would be more than 1000 entries"):
        save(entry("b"))
    with nothing_changes():  # the whole of it, exported, is what is in force
        assert not bring_in(catalogue.exported(editions.in_force().entries)).changed
    assert not editions.as_stored().damage


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("a", f"a/{'m' * 51}")], "a: a module, model or action has a name of more than 50 characters"),
        ([entry("a", f"a/b/{'x' * 51}")], "a: a module, model or action has a name of more than 50 characters"),
        ([entry("a", "a/b/" + "/".join(f"x{number}" for number in range(51)))], "a: a rule names more than 50 actions"),
        (
            [entry(f"a{n}", *(f"b/m{number}" for number in range(200))) for n in range(11)],
            "more than 2000 rules in all",
        ),
    ],
)
def test_entries_that_take_long_to_compare_are_refused(entries: list[CatalogueEntry], words: str) -> None:
    with nothing_changes(), pytest.raises(CatalogueNotTaken, match=words):
        bring_in(catalogue.written(entries))


def test_preview_says_what_the_edit_would_do_and_does_nothing(active: Installation) -> None:
    factories.approve(active, "crm.accounts.full")
    save(entry("warehouse"))
    known = editions.in_force().described("crm.accounts")
    assert known is not None
    narrower = replace(known, covers=known.covers[:1], models=("account",))

    with nothing_changes():
        seen = catalogue_editing.preview_entry(narrower)
        assert catalogue_editing.preview_removal("warehouse").changes[0].summary == "gone, covers less"
        assert [each.code for each in catalogue_editing.preview_import(b'{"schema":1,"scopes":[]}').changes] == [
            "warehouse"
        ]

    done = save(narrower)
    assert (seen.changes, seen.touched) == (done.changes, done.touched)
    assert done.touched == Touched(less=1)


def test_damaged_edition_is_mended_by_an_import_only(active: Installation) -> None:
    save(entry("warehouse"))
    tamper("document", "x")
    factories.application(permissions=["fin.read", "task.read"])
    with nothing_changes():
        for verb in (lambda: save(entry("garage")), lambda: take_back("fin")):
            with pytest.raises(StateConflict, match="Edition 1 of the scope catalogue is damaged"):
                verb()
        with pytest.raises(StateConflict, match="damaged"):
            approve_scopes(installation_id=active.pk, requested=["fin.read"], **WHY)
        with pytest.raises(StateConflict, match="damaged"):
            withhold_scopes(installation_id=active.pk, **WHY)

    done = bring_in(b'{"schema":1,"scopes":[]}', seen=1)

    assert done.changed is True
    assert editions.in_force().damage == ""
    assert approve_scopes(installation_id=active.pk, requested=["fin.read"], **WHY).approved == ["fin.read"]


def test_approval_copies_the_edition_that_is_in_force(active: Installation) -> None:
    edit("fin", "fin/invoice")
    factories.approve(active, "fin.read")

    copy = active.approved_permissions.in_force().get(code="fin").catalogue_entry
    assert copy["catalogue"] == f"{catalogue.load().version}+1"
    assert [rule["model"] for rule in copy["covers"]] == ["invoice"]
    assert last_event().details["catalogue"] == copy["catalogue"]


def test_approval_of_what_was_read_in_another_edition_is_refused(active: Installation) -> None:
    seen = editions.in_force().version
    edit("fin", "fin/invoice", "task/tasks")
    with nothing_changes(), pytest.raises(StateConflict, match="catalogue was edited while you were reading"):
        approve_scopes(installation_id=active.pk, requested=["fin.read"], seen=Seen(catalogue=seen), **WHY)

    now = editions.in_force().version
    assert approve_scopes(installation_id=active.pk, requested=["fin.read"], seen=Seen(catalogue=now), **WHY).approved


def test_unknown_scope_that_becomes_known_is_asked_for_and_grants_nothing(active: Installation) -> None:
    factories.application(permissions=["crm.accounts.full", "warehouse.read"])
    active.refresh_from_db()
    with pytest.raises(UnknownScope):
        factories.approve(active, "warehouse.read")
    save(entry("warehouse"))

    assert active.manifest.requested_scopes == ["crm.accounts.full", "warehouse.read"]
    assert not active.approved_permissions.in_force().filter(code="warehouse").exists()
    factories.approve(active, "warehouse.read")
    assert recorded()[-1] == "scopes.approved"


def test_export_reads_back_as_what_it_was() -> None:
    save(entry("warehouse"))
    for entries in (editions.in_force().entries, editions.own_entries(CatalogueEdition.objects.get())):
        written = catalogue.written(entries)
        assert catalogue.parse_entries(written) == tuple(sorted(entries, key=lambda each: each.code))
        assert json.loads(written)["schema"] == 1
