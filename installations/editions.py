"""Which edition of the scope catalogue is in force, and the catalogue that it makes.

A statement that decides something reads the newest edition beside the rest, and `at` turns that into the catalogue: an
edit holds at its commit, in every worker, and no call is decided by two editions. What was parsed is kept for the
process by number *and* content, so that one statement more is made at the first call after an edit and never again.
"""

import logging
from hashlib import sha256
from typing import Final, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from installations import catalogue
from installations.catalogue import Catalogue, CatalogueEntry, CatalogueInvalid
from installations.models import CatalogueEdition
from installations.said import said

logger = logging.getLogger(__name__)

_NEWEST: Final = (
    "SELECT ce.number || ' ' || ce.sha256 AS newest FROM installations_catalogueedition ce "
    "ORDER BY ce.number DESC LIMIT 1"
)
# Written into other statements, as a value or as a table to join. NULL while operators never edited anything.
NEWEST: Final = f"({_NEWEST})"
# The second is the one for the hot path: with a value, PostgreSQL takes half as long again to plan the statement.
JOIN_NEWEST: Final = f"LEFT JOIN ({_NEWEST}) edition ON 1 = 1"
_IN_FORCE: Final = f"SELECT {NEWEST}"  # noqa: S608 - a constant
_EDITION: Final = "newest_edition"
_KEPT: Final = 8
# What an advisory lock of PostgreSQL is called here; any number does, as long as nothing else takes it.
_LOCK: Final = 0x5C09E5

_Row = TypeVar("_Row", bound=Model)

_parsed: dict[tuple[str, str], Catalogue] = {}


def at(newest: str | None) -> Catalogue:
    """Return the catalogue of what a statement read as the newest edition.

    One that cannot be read knows nothing, so that everything is denied, and is complained about at each call. No
    statement, but for the first time in a process.
    """
    shipped = catalogue.load()
    if newest is None:
        return shipped
    # By content too: a number may come again with another one, after a restored backup or a transaction rolled back.
    key = (shipped.version, newest)
    found = _parsed.get(key)
    return found if found is not None else _read(shipped, key)


def in_force() -> Catalogue:
    """Return the catalogue as it is now. One statement, and one more for the first time in a process."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE)
        (newest,) = cursor.fetchone()
    return at(newest)


def as_stored() -> Catalogue:
    """Return the catalogue as the database has it at this moment, also where it was damaged after this process read it.

    One statement.
    """
    row = CatalogueEdition.objects.order_by("-number").first()
    return catalogue.load() if row is None else read_anew(row)


def read_anew(row: CatalogueEdition) -> Catalogue:
    """Return the catalogue that an edition makes with today's shipped file, or one that knows nothing."""
    try:
        return catalogue_of(row)
    except CatalogueInvalid as exc:
        return catalogue.unusable(catalogue.load(), row.number, str(exc))


def with_edition(rows: QuerySet[_Row]) -> QuerySet[_Row]:
    """Return the rows, each with the edition that was in force when they were read, for `read_with`."""
    annotated: QuerySet[_Row] = rows.annotate(**{_EDITION: newest()})
    return annotated


def newest() -> RawSQL:
    """Return the newest edition as a column of a query."""
    return RawSQL(NEWEST, [])  # noqa: S611 - a constant


def read_with(row: Model) -> Catalogue:
    """Return the catalogue of the moment when the row was read. A statement where it was not read `with_edition`."""
    values = vars(row)
    return at(values[_EDITION]) if _EDITION in values else in_force()


def held_in_force() -> Catalogue:
    """Return the catalogue that stays in force until the transaction ends: who copies from it copies what counts.

    To be taken behind all locks of rows, and before the audit trail's.
    """
    _hold("pg_advisory_xact_lock_shared")
    return in_force()


def held_alone() -> Catalogue:
    """Return the catalogue and keep everybody else from editing or copying it until the transaction ends."""
    _hold("pg_advisory_xact_lock")
    return in_force()


def own_entries(edition: CatalogueEdition) -> tuple[CatalogueEntry, ...]:
    """Return the operators' entries of an edition; raises CatalogueInvalid when it is damaged."""
    if sha256(edition.document.encode()).hexdigest() != edition.sha256:
        raise CatalogueInvalid(said("its content is not the one that was saved"))
    return catalogue.parse_entries(edition.document)


def catalogue_of(edition: CatalogueEdition | None) -> Catalogue:
    """Return the catalogue that an edition makes with the file that is shipped today; None is edition 0. No statement.

    Raises CatalogueInvalid when it is damaged.
    """
    shipped = catalogue.load()
    return shipped if edition is None else catalogue.overlaid(shipped, own_entries(edition), edition.number)


def _hold(lock: str) -> None:
    # No row: there may be none yet, and those who copy need not wait for each other. SQLite has one writer at a time.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {lock}(%s)", [_LOCK])


def _read(shipped: Catalogue, key: tuple[str, str]) -> Catalogue:
    number, _, digest = key[1].partition(" ")
    row = CatalogueEdition.objects.filter(number=number).first()
    try:
        if row is None or row.sha256 != digest:
            raise CatalogueInvalid(said("it is not there any more"))
        found = catalogue_of(row)
    except CatalogueInvalid as exc:
        # Not kept, so that every call says so, and the first one after it is mended is let through.
        logger.critical(
            "Edition %s of the scope catalogue is damaged: %r. Every call is denied.", number, str(exc)[:200]
        )
        return catalogue.unusable(shipped, int(number), str(exc))
    while len(_parsed) >= _KEPT:
        _parsed.pop(next(iter(_parsed)), None)
    _parsed[key] = found
    return found
