"""Which catalogue is in force: the newest edition's, read once a process, and nothing at all where it is damaged."""

import logging
from hashlib import sha256

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from installations import catalogue, editions
from installations.catalogue import CatalogueInvalid, Origin
from installations.catalogue_models import EditionsAreAppendOnly
from installations.models import CatalogueEdition, Portal
from tests.catalogues import bring_in, edit, entry, save, tamper

pytestmark = pytest.mark.django_db


def statements() -> int:
    with CaptureQueriesContext(connection) as found:
        editions.in_force()
    return len(found)


def test_shipped_file_counts_while_nothing_was_edited() -> None:
    assert editions.in_force() is catalogue.load()
    assert editions.in_force().edition == 0
    assert editions.catalogue_of(None) is catalogue.load()


def test_newest_edition_counts_and_is_read_once(db: None) -> None:
    save(entry("warehouse"))
    edit("fin", "fin/invoice")

    assert statements() == 2
    assert statements() == 1
    known = editions.in_force()
    assert known.edition == 2
    assert known.version == f"{catalogue.load().version}+2"
    assert [rule.model for rule in known.coverage["fin"]] == ["invoice"]
    assert "warehouse" in known.coverage
    assert [known.origin(code) for code in ("crm", "fin", "warehouse")] == [
        Origin.SHIPPED,
        Origin.OVERRIDDEN,
        Origin.OWN,
    ]


def test_few_catalogues_are_kept() -> None:
    for number in range(12):
        save(entry("warehouse", title=f"Number {number}"))
        assert editions.in_force().described("warehouse").title == f"Number {number}"  # type: ignore[union-attr]
    assert len(editions._parsed) <= 8


def test_same_number_with_another_content_is_read_anew() -> None:
    inside = transaction.atomic()
    inside._from_testcase = True
    with inside:
        save(entry("warehouse"))
        assert "warehouse" in editions.in_force().coverage
        transaction.set_rollback(True)
    save(entry("garage"))

    assert editions.in_force().edition == 1
    assert "warehouse" not in editions.in_force().coverage
    assert "garage" in editions.in_force().coverage


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("document", '{"schema":1,"scopes":[]}'),
        ("document", "not JSON"),
        ("sha256", "0" * 64),
    ],
)
def test_damaged_edition_knows_nothing_and_says_so_each_time(
    column: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(entry("warehouse"))
    tamper(column, value)

    for _ in range(2):
        with caplog.at_level(logging.CRITICAL):
            known = editions.in_force()
        assert (known.entries, dict(known.coverage), known.edition) == ((), {}, 1)
        assert known.damage
    assert caplog.text.count("Edition 1 of the scope catalogue is damaged") == 2
    with pytest.raises(CatalogueInvalid):
        editions.own_entries(CatalogueEdition.objects.get())


def test_edition_that_passes_its_hash_is_still_checked_whole() -> None:
    save(entry("warehouse"))
    odd = '{"schema":1,"scopes":[{}]}'
    tamper("document", odd)
    tamper("sha256", sha256(odd.encode()).hexdigest())

    assert editions.in_force().damage.startswith("scopes[0]")


def test_edition_that_was_taken_away_meanwhile_grants_nothing() -> None:
    assert editions.at(f"7 {'0' * 64}").damage == "it is not there any more"


def test_rows_are_read_with_their_edition_in_one_statement(django_assert_num_queries: object) -> None:
    Portal.objects.create(domain="acme.flowlu.com")
    save(entry("warehouse"))
    editions.in_force()

    with CaptureQueriesContext(connection) as found:
        row = editions.with_edition(Portal.objects.all()).get()
        assert editions.read_with(row).edition == 1
    assert len(found) == 1
    assert editions.read_with(Portal.objects.get()).edition == 1


def test_mended_edition_counts_at_once() -> None:
    save(entry("warehouse"))
    document = CatalogueEdition.objects.get().document
    tamper("document", "x")
    assert editions.in_force().damage
    tamper("document", document)

    assert "warehouse" in editions.in_force().coverage
    bring_in('{"schema":1,"scopes":[]}')
    assert editions.in_force().edition == 2


def test_editions_are_never_changed() -> None:
    save(entry("warehouse"))
    for act in (
        lambda: CatalogueEdition.objects.update(reason="x"),
        lambda: CatalogueEdition.objects.all().delete(),
        lambda: CatalogueEdition.objects.get().delete(),
    ):
        with pytest.raises(EditionsAreAppendOnly):
            act()
    assert str(CatalogueEdition.objects.get()) == "edition 1"
