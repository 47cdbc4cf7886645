"""Editions of the scope catalogue for tests: made by the real verbs, or damaged by somebody who owns the database."""

from dataclasses import replace
from typing import Any

from django.db import connection

from installations import editions
from installations.catalogue import CatalogueEntry, LevelMeaning
from installations.catalogue_editing import Edit, import_catalogue, remove_catalogue_override, save_catalogue_entry
from installations.scopes import Coverage
from tests import factories

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}
NOTHING = b'{"schema":1,"scopes":[]}'


def covers(*rules: str) -> tuple[Coverage, ...]:
    """Return rules written as `module/model` or `module/model/action`."""
    found = []
    for rule in rules:
        module, model, *action = rule.split("/")
        found.append(Coverage(module, model, tuple(action) if action else "*"))
    return tuple(found)


def entry(code: str = "warehouse", *rules: str, **values: Any) -> CatalogueEntry:
    """Return an entry of a code that is not shipped."""
    covered = covers(*rules or (f"{code.partition('.')[0]}/*",))
    level = LevelMeaning("See it.", "low", "It is public.")
    made = CatalogueEntry(
        code=code,
        title=code.title(),
        meaning="Stock.",
        read=level,
        full=level,
        covers=covered,
        models=models_of(covered),
        documented=False,
        enabled=True,
        source="assumption: a test",
    )
    return replace(made, **values)


def models_of(rules: tuple[Coverage, ...]) -> tuple[str, ...]:
    return tuple(sorted({rule.model for rule in rules} - {"*"}))


def save(changed: CatalogueEntry, **how: Any) -> Edit:
    return save_catalogue_entry(entry=changed, **(WHY | how))


def edit(code: str, *rules: str, **values: Any) -> Edit:
    """Save the entry that is in force with other rules or values."""
    known = editions.in_force().described(code)
    assert known is not None
    if rules:
        values |= {"covers": covers(*rules), "models": models_of(covers(*rules))}
    return save(replace(known, **values))


def take_back(code: str, **how: Any) -> Edit:
    return remove_catalogue_override(code=code, **(WHY | how))


def bring_in(document: str | bytes, **how: Any) -> Edit:
    return import_catalogue(document=document, **(WHY | how))


def tamper(column: str, value: str) -> None:
    """Change a column of the newest edition past the service and past the trigger, and forget what was read of it."""
    editions._parsed.clear()
    postgresql = connection.vendor == "postgresql"
    table = "installations_catalogueedition"
    with connection.cursor() as cursor:
        if postgresql:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE number = (SELECT MAX(number) FROM {table})", [value])
        if postgresql:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
