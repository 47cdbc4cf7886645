"""Write many rows of many models at once: COPY on PostgreSQL, INSERT of several rows elsewhere."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from django.core.management.color import no_style
from django.db import connection
from django.db.models import NOT_PROVIDED, Field, JSONField, Max, Model

from installations.models import (
    ApprovalRequest,
    ApprovalRequestItem,
    ApprovedPermission,
    AuditEvent,
    Evidence,
    Installation,
    Liveness,
    Portal,
    PortalUser,
    ScopeUsage,
)
from tokens.models import (
    ApiKey,
    EmbedSession,
    OAuthToken,
    RefreshAttempt,
    ReplacedFingerprint,
    Revocation,
    RevokedFingerprint,
    ServiceCall,
)

Row = dict[str, Any]

# What is pointed at is written before what points at it.
ORDER: Final[tuple[type[Model], ...]] = (
    Portal,
    PortalUser,
    Installation,
    ApprovedPermission,
    Evidence,
    Liveness,
    ScopeUsage,
    ApprovalRequest,
    ApprovalRequestItem,
    Revocation,
    OAuthToken,
    ReplacedFingerprint,
    RefreshAttempt,
    RevokedFingerprint,
    EmbedSession,
    ApiKey,
    ServiceCall,
    AuditEvent,
)


class Table:
    """The rows of one model that wait to be written, and the numbers that are free."""

    def __init__(self, model: type[Model]) -> None:
        self.model = model
        self._fields: list[Field[Any, Any]] = list(model._meta.concrete_fields)
        self._names = [field.attname for field in self._fields]
        self._defaults = {field.attname: value for field in self._fields for value in _plain_default(field)}
        self._json = {field.attname for field in self._fields if isinstance(field, JSONField)}
        last = model._base_manager.aggregate(last=Max("pk"))["last"] or 0
        self._numbers = count(last + 1)
        self._rows: list[Row] = []
        self.written = 0

    def next_number(self) -> int:
        return next(self._numbers)

    def add(self, row: Row) -> None:
        """Keep a row by its columns. What has a fixed default may be left out."""
        self._rows.append(row)

    def write(self) -> None:
        """Write what waits, inside the transaction of the caller."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        if connection.vendor == "postgresql":
            self._copy(rows)
        else:
            made = (self.model(**self._defaults | row) for row in rows)
            self.model._base_manager.bulk_create(made, batch_size=500)
        self.written += len(rows)

    def _copy(self, rows: list[Row]) -> None:
        quote: Callable[[str], str] = connection.ops.quote_name
        columns = ", ".join(quote(str(field.column)) for field in self._fields)
        statement = f"COPY {quote(self.model._meta.db_table)} ({columns}) FROM STDIN"
        with connection.cursor() as cursor, cursor.cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(self._values(row))

    def _values(self, row: Row) -> list[Any]:
        whole: Mapping[str, Any] = self._defaults | row
        return [json.dumps(whole[name]) if name in self._json else whole[name] for name in self._names]


def _plain_default(field: "Field[Any, Any]") -> list[Any]:
    """Return the default that is the same for every row, or nothing where a row has to say."""
    if field.default is not NOT_PROVIDED:
        return [] if callable(field.default) else [field.default]
    if field.null:
        return [None]
    return [""] if field.blank and field.empty_strings_allowed else []


class Tables:
    """All that waits to be written."""

    def __init__(self) -> None:
        self._tables = {model: Table(model) for model in ORDER}

    def __getitem__(self, model: type[Model]) -> Table:
        return self._tables[model]

    def write(self) -> None:
        for table in self._tables.values():
            table.write()

    def finish(self) -> Counter[str]:
        """Let the database number on behind what was written and know how much there is; returns what was written."""
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), list(ORDER)):
                cursor.execute(statement)
            for model in ORDER:
                cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")
        return Counter({str(model._meta.verbose_name_plural): table.written for model, table in self._tables.items()})
