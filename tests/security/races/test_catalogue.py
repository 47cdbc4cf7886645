"""Edits of the scope catalogue beside approvals, calls and each other: every copy is of what counted at its commit."""

import pytest

from installations import catalogue, editions, scopes
from installations.models import Application, AuditEvent, CatalogueEdition
from tests import factories
from tests.catalogues import edit, entry, save
from tests.security.races.conftest import Page
from tests.security.races.workers import Workers

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]
RULES = (["warehouse/stock"], ["warehouse/stock", "warehouse/shelf"], ["warehouse/shelf/list"])


def edition_at(sequence: int) -> int:
    """Return the edition that was in force when the event was recorded, by the trail."""
    edits = AuditEvent.objects.filter(target_kind="catalogue", sequence__lt=sequence)
    return int(edits.latest("sequence").details["edition"])


def rules_of(number: int) -> object:
    entries = editions.own_entries(CatalogueEdition.objects.get(number=number))
    return scopes.to_json(next(each.covers for each in entries if each.code == "warehouse"))


def test_approval_beside_an_edit_copies_the_edition_in_force_at_its_commit(
    workers: Workers, application: Application
) -> None:
    factories.application(permissions=["warehouse.read"])
    save(entry("warehouse", *RULES[0]))

    def race(number: int) -> str:
        portal = f"portal{number}.flowlu.com"
        here = factories.launch(application, portal=portal).installation
        before = editions.in_force().edition
        approved, edited = workers.at_once(
            {"job": "approve_and_note", "installation": here.pk, "scopes": ["warehouse.read"]},
            {"job": "edit_catalogue", "code": "warehouse", "rules": RULES[(number + 1) % len(RULES)]},
        )
        assert edited.value == before + 1
        copied, told, sequence = approved.value
        assert copied == told == f"{catalogue.load().version}+{edition_at(sequence)}"
        row = here.approved_permissions.in_force().get()
        assert row.catalogue_entry["covers"] == rules_of(edition_at(sequence))
        return "edit first" if edition_at(sequence) == before + 1 else "approval first"

    workers.rounds(race, expect=["edit first", "approval first"])


def test_approval_of_what_was_read_before_an_edit_comes_first_or_is_refused(
    workers: Workers, application: Application
) -> None:
    factories.application(permissions=["warehouse.read"])
    save(entry("warehouse", *RULES[0]))

    def race(number: int) -> str:
        here = factories.launch(application, portal=f"portal{number}.flowlu.com").installation
        seen = editions.in_force().version
        approved, _edited = workers.at_once(
            {"job": "approve_as_seen", "installation": here.pk, "scopes": ["warehouse.read"], "seen": seen},
            {"job": "edit_catalogue", "code": "warehouse", "rules": RULES[(number + 1) % len(RULES)]},
        )
        if approved.refused:
            assert approved.refused == "state_conflict"
            assert not here.approved_permissions.exists()
            return "refused"
        assert approved.value == seen
        return "approved"

    workers.rounds(race, expect=["refused", "approved"])


def test_purpose_beside_an_edit_copies_the_edition_in_force_at_its_commit(
    workers: Workers, application: Application
) -> None:
    save(entry("warehouse", *RULES[0]))

    def race(number: int) -> str:
        before = editions.in_force().edition
        declared, _edited = workers.at_once(
            {"job": "declare", "code": f"purpose-{number}"},
            {"job": "edit_catalogue", "code": "warehouse", "rules": RULES[(number + 1) % len(RULES)]},
        )
        copied, sequence = declared.value
        assert copied == rules_of(edition_at(sequence))
        return "edit first" if edition_at(sequence) == before + 1 else "purpose first"

    workers.rounds(race, expect=["edit first", "purpose first"])


def test_second_of_two_edits_sees_the_first_and_loses_nothing(workers: Workers, application: Application) -> None:
    def race(number: int) -> str:
        before = editions.in_force().edition
        codes = [f"code{number}", f"other{number}"]
        ended = workers.at_once(*({"job": "edit_catalogue", "code": code, "rules": [f"{code}/*"]} for code in codes))
        assert sorted(each.value for each in ended) == [before + 1, before + 2]
        assert set(codes) <= editions.in_force().coverage.keys()
        return codes[[each.value for each in ended].index(before + 1)][:4]

    workers.rounds(race, expect=["code", "othe"])
    numbers = list(CatalogueEdition.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def test_of_two_edits_of_one_edition_that_both_read_one_is_refused(workers: Workers, application: Application) -> None:
    def race(number: int) -> str:
        seen = editions.in_force().edition
        ended = workers.at_once(
            *(
                {"job": "edit_catalogue", "code": f"code{number}", "rules": [f"fin/{name}"], "seen": seen}
                for name in ("one", "two")
            )
        )
        assert sorted(each.refused for each in ended) == ["", "state_conflict"]
        assert editions.in_force().edition == seen + 1
        return "one" if ended[1].refused else "two"

    workers.rounds(race, expect=["one", "two"])


def test_call_that_begins_after_a_narrowing_edit_is_refused_in_every_worker(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        edit("crm.accounts", "crm/account", title=f"Round {number}")
        assert {each.status for each in workers.at_once(page.call(), page.call())} == {200}
        order = {"job": "edit_catalogue", "code": "crm.accounts", "rules": [f"crm/industry/round{number}"]}
        edited, *calls = workers.at_once(order, *(page.call() for _ in range(5)))
        after = [each for each in calls if each.began > edited.ended]
        assert all((each.status, each.error) == (403, "insufficient_scope") for each in after)
        assert all(each.status in (200, 403) for each in calls)
        assert {each.status for each in workers.at_once(*(page.call() for _ in range(7)))} == {403}
        return "after" if after else "beside"

    workers.rounds(race)
