"""Every place where sealed values lie, as a list to walk: what lies under which key, and the same under the newest.

A model with sealed columns is registered at the end of this file, and only then do `rewrap_tokens`, `key_status` and
`/readyz` know of it; a test fails for a `sealed_…` column that nobody registered. The composition root adds what
belongs to operators.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Final

from django.db import IntegrityError, connection, transaction
from django.db.models import CharField, Count, F, Func, Model, Q, QuerySet

from installations.keys import Key, KeyRing
from tokens import vault
from tokens.errors import UnsealFailed
from tokens.models import ApiKey, OAuthToken, RevokedFingerprint, UpstreamRevocation
from tokens.sealed_rows import Batch, LeftAlone, Rings, SealedRows, distinct
from tokens.sealing import VERSION, Context, fingerprint, key_id_of, seal, unseal

_SAMPLES = 5
_WALKED = 1000  # rows that are unsealed between two statements


@dataclass(frozen=True, slots=True)
class SealedColumn:
    name: str
    fingerprint: str = ""  # the column that holds its fingerprint
    sealed_as: str = ""  # the column that its context names, when a value keeps the context of where it was moved from


class _KeyIdInData(Func):
    """The id of the key that a sealed value is under, from its head, in hex: '' for what is no sealed value."""

    output_field = CharField()
    arity = 1

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # get_byte() of a value that is too short is an error.
        template = (
            "CASE WHEN length(%(expressions)s) > 2 AND get_byte(%(expressions)s, 0) = %(version)s"
            " THEN encode(substring(%(expressions)s FROM 3 FOR get_byte(%(expressions)s, 1)), 'hex')"
            " WHEN %(expressions)s IS NOT NULL THEN '' END"
        )
        return self.as_sql(compiler, connection, template=template, version=VERSION, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            "CASE WHEN hex(substr(%(expressions)s, 1, 1)) = '%(version)02X' THEN coalesce(lower(hex(substr("
            "%(expressions)s, 3, unicode(CAST(substr(%(expressions)s, 2, 1) AS TEXT))))), '')"
            " WHEN %(expressions)s IS NOT NULL THEN '' END"
        )
        return self.as_sql(compiler, connection, template=template, version=VERSION, **context)


def _hex(key: Key) -> str:
    return key.id.encode("ascii").hex()


def _from_hex(text: str) -> str:
    return bytes.fromhex(text).decode("ascii", "backslashreplace") or "(unreadable)"


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as it was read, and as it will be written."""

    pk: int
    old: tuple[bytes | None, ...]
    new: tuple[bytes | None, ...]
    digests: tuple[str, ...]
    digest_key: str
    # old digest to new, of what changed
    moved: dict[str, str] = field(default_factory=dict)


class SealedModel(SealedRows):
    """A model with sealed columns under one `seal_key_id`, and fingerprints under one `fingerprint_key_id`."""

    def __init__(
        self,
        model: type[Model],
        *columns: SealedColumn,
        name: str,
        tombstones: Q | None = None,
        sealed_for: str = "",
        row_uuid: str = "uuid",
    ) -> None:
        self.model, self.columns, self.name = model, columns, name
        # Rows whose fingerprint nobody looks for any more; they need no key.
        self._tombstones = tombstones
        self._sealed_for = sealed_for or model._meta.label
        self._row_uuid = row_uuid
        self._prints = tuple(column for column in columns if column.fingerprint)

    # --- Which keys ---

    @property
    def _rows(self) -> QuerySet[Any]:
        return self.model._base_manager.all()

    def _sealed(self) -> QuerySet[Any]:
        return self._rows.filter(reduce(or_, (Q(**{f"{column.name}__isnull": False}) for column in self.columns)))

    def _live_prints(self) -> QuerySet[Any]:
        return self._rows.exclude(self._tombstones) if self._tombstones is not None else self._rows

    def seal_keys(self) -> set[str]:
        return distinct(self._sealed(), "seal_key_id")

    def fingerprint_keys(self) -> set[str]:
        return distinct(self._live_prints(), "fingerprint_key_id") if self._prints else set()

    def rows_by_seal_key(self) -> Counter[str]:
        needed = {f"under_{column.name}": _KeyIdInData(F(column.name)) for column in self.columns}
        counts: Counter[str] = Counter()
        for row in self._sealed().annotate(**needed).order_by().values(*needed).annotate(rows=Count("pk")):
            for key in {row[name] for name in needed} - {None}:
                counts[_from_hex(key)] += row["rows"]
        return counts

    def rows_by_fingerprint_key(self) -> tuple[Counter[str], Counter[str]]:
        moves, stays = Counter[str](), Counter[str]()
        if self._prints:
            whole = self._whole()
            for counts, rows in (
                (moves, self._live_prints().filter(whole)),
                (stays, self._live_prints().exclude(whole)),
            ):
                for row in rows.order_by().values("fingerprint_key_id").annotate(rows=Count("pk")):
                    counts[row["fingerprint_key_id"]] += row["rows"]
        return moves, stays

    def _whole(self) -> Q:
        """Return what holds of rows whose every fingerprint still has its secret beside it."""
        found = reduce(or_, (Q(**{f"{column.name}__isnull": False}) for column in self._prints))
        for column in self._prints:
            found &= Q(**{column.fingerprint: ""}) | Q(**{f"{column.name}__isnull": False})
        return found

    # --- Unsealing all ---

    def count_sealed(self) -> int:
        return self._sealed().count()

    def unsealing(self, keys: Rings) -> Iterator[LeftAlone | None]:
        wanted = [part for column in self.columns for part in (column.name, column.fingerprint) if part]
        wanted += ["fingerprint_key_id"] if self._prints else []
        rows = self._sealed().order_by("pk").values("pk", self._row_uuid, *wanted)
        found = list(rows[:_WALKED])
        while found:
            for row in found:
                why = self._fault_of(row, keys)
                yield LeftAlone(self._called(row["pk"]), why) if why else None
            found = list(rows.filter(pk__gt=found[-1]["pk"])[:_WALKED])

    def _fault_of(self, row: dict[str, Any], keys: Rings) -> str:
        """Return why the row is not as it should be; '' when all of it unseals and is what its fingerprints say."""
        for column in self.columns:
            if row[column.name] is None:
                continue
            try:
                value = unseal(row[column.name], self._context(row, column), keys.seal)
            except UnsealFailed as error:
                return str(error)
            # Without its key a fingerprint cannot be told, and is told of with the keys.
            key = keys.fingerprint.get(row["fingerprint_key_id"]) if column.fingerprint else None
            if key is not None and fingerprint(value, KeyRing([key])).digest != row[column.fingerprint]:
                return "its fingerprint is that of another value"
        return ""

    def _called(self, pk: int) -> str:
        return f"{self.model._meta.verbose_name} #{pk}"

    # --- Rewrapping ---

    def _outdated(self, keys: Rings) -> QuerySet[Any]:
        """Return the rows that are not wholly under the newest keys, going by the sealed values themselves."""
        newest = _hex(keys.seal.newest)
        needed = {f"under_{column.name}": _KeyIdInData(F(column.name)) for column in self.columns}
        wanted = ~Q(seal_key_id=keys.seal.newest.id)
        for column in self.columns:
            wanted |= Q(**{f"{column.name}__isnull": False}) & ~Q(**{f"under_{column.name}": newest})
        if self._prints:
            wanted |= self._whole() & ~Q(fingerprint_key_id=keys.fingerprint.newest.id)
        found: QuerySet[Any] = self._sealed().alias(**needed).filter(wanted)
        return found

    def outdated(self, keys: Rings) -> int:
        return self._outdated(keys).count()

    def proves(self, keys: Rings, key_id: str) -> bool | None:
        rows = self._sealed().filter(seal_key_id=key_id)
        answers = [sealed for row in self._samples(rows) for sealed in self._unsealed(row, keys)]
        return any(value is not None for _column, value in answers) if answers else None

    def proves_fingerprint(self, keys: Rings, key_id: str) -> bool | None:
        key = keys.fingerprint.get(key_id)
        if key is None or not self._prints:
            return None
        under_it = KeyRing([key])
        answers = [
            fingerprint(value, under_it).digest == row[column.fingerprint]
            for row in self._samples(self._sealed().filter(fingerprint_key_id=key_id))
            for column, value in self._unsealed(row, keys)
            if value is not None and column.fingerprint
        ]
        return any(answers) if answers else None

    def _samples(self, rows: QuerySet[Any]) -> Iterable[dict[str, Any]]:
        wanted = [part for column in self.columns for part in (column.name, column.fingerprint) if part]
        return rows.order_by("-pk").values("pk", self._row_uuid, *wanted)[:_SAMPLES]

    def _unsealed(self, row: dict[str, Any], keys: Rings) -> Iterator[tuple[SealedColumn, str | None]]:
        for column in self.columns:
            if row[column.name] is not None:
                try:
                    yield column, unseal(row[column.name], self._context(row, column), keys.seal)
                except UnsealFailed:
                    yield column, None

    def rewrap(self, keys: Rings, *, after: Any, size: int, dry_run: bool) -> Batch:
        rows = self._outdated(keys)
        if after is not None:
            rows = rows.filter(pk__gt=after)
        prints = [column.fingerprint for column in self._prints]
        wanted = ["pk", self._row_uuid, *(column.name for column in self.columns), *prints]
        found = list(rows.order_by("pk").values(*wanted, *(["fingerprint_key_id"] if prints else []))[:size])
        if not found:
            return Batch()
        ready, left_alone = [], []
        for row in found:
            try:
                ready.append(self._rewrapped(row, keys))
            except UnsealFailed as error:
                left_alone.append(LeftAlone(self._called(row["pk"]), str(error)))
        written, refused = (len(ready), []) if dry_run else self._write(ready, keys)
        left_alone += [LeftAlone(self._called(pk), "another row holds the same secret: revoke one") for pk in refused]
        return Batch(found[-1]["pk"], written, len(ready) - written - len(refused), left_alone)

    def _context(self, row: dict[str, Any], column: SealedColumn) -> Context:
        return Context(self._sealed_for, str(row[self._row_uuid]), column.sealed_as or column.name)

    def _rewrapped(self, row: dict[str, Any], keys: Rings) -> _Row:
        old = tuple(None if row[column.name] is None else bytes(row[column.name]) for column in self.columns)
        new: list[bytes | None] = []
        clear: dict[str, str] = {}
        for column, sealed in zip(self.columns, old, strict=True):
            if sealed is None:
                new.append(None)
                continue
            context = self._context(row, column)
            clear[column.name] = unseal(sealed, context, keys.seal)
            is_newest = key_id_of(sealed) == keys.seal.newest.id
            new.append(sealed if is_newest else seal(clear[column.name], context, keys.seal))
        digests = tuple(row[column.fingerprint] for column in self._prints)
        digest_key = row.get("fingerprint_key_id", "")
        moved: dict[str, str] = {}
        # All or none: the row has one id for the key of all its fingerprints.
        whole = all(not digest or column.name in clear for digest, column in zip(digests, self._prints, strict=True))
        if self._prints and whole and digest_key != keys.fingerprint.newest.id:
            digest_key = keys.fingerprint.newest.id
            fresh = tuple(
                fingerprint(clear[column.name], keys.fingerprint).digest if digest else ""
                for digest, column in zip(digests, self._prints, strict=True)
            )
            moved = {before: after for before, after in zip(digests, fresh, strict=True) if before != after}
            digests = fresh
        return _Row(row["pk"], old, tuple(new), digests, digest_key, moved)

    def _write(self, rows: Sequence[_Row], keys: Rings) -> tuple[int, list[int]]:
        """Write what nobody changed since it was read. Returns how many rows were, and which the database refused."""
        try:
            return self._write_together(rows, keys), []
        except IntegrityError:
            written, refused = 0, []
        for row in rows:
            try:
                written += self._write_together([row], keys)
            except IntegrityError:
                # Sealed anew all the same: the old key must not be needed for it.
                before = tuple(next((old for old, new in row.moved.items() if new == d), d) for d in row.digests)
                self._write_together([_Row(row.pk, row.old, row.new, before, "")], keys)
                refused.append(row.pk)
        return written, refused

    def _write_together(self, rows: Sequence[_Row], keys: Rings) -> int:
        with transaction.atomic(durable=True):
            # Whoever holds a row is about to change it: waiting for them while holding others could end in a circle,
            # and a revocation must never be the one that loses. Without `no_key` a new session would wait as well.
            free = set(
                self._rows.filter(pk__in=[row.pk for row in rows])
                .order_by("pk")
                .select_for_update(skip_locked=True, no_key=True)
                .values_list("pk", flat=True)
            )
            rows = [row for row in rows if row.pk in free]
            if not rows:
                return 0
            _keep_denied({old: new for row in rows for old, new in row.moved.items()}, keys.fingerprint.newest.id)
            return self._update(rows, keys)

    def _update(self, rows: Sequence[_Row], keys: Rings) -> int:
        """Write the rows by compare-and-set on their sealed values: a value is never the same twice."""
        table, pk = self._quoted(self.model._meta.db_table), self._column("pk")
        sealed = [self._column(column.name) for column in self.columns]
        prints = [self._column(column.fingerprint) for column in self._prints]
        if prints:
            prints.append(self._column("fingerprint_key_id"))
        seal_key = self._column("seal_key_id")
        # For each row: new values, old values, fingerprints with their key. An empty key says: leave them alone.
        new = range(len(sealed))
        old = range(len(sealed), 2 * len(sealed))
        marks = range(2 * len(sealed), 2 * len(sealed) + len(prints))
        data = [(*row.new, *row.old, *((*row.digests, row.digest_key) if prints else ())) for row in rows]
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                sets = [f"{column} = d.c{place}" for column, place in zip(sealed, new, strict=True)]
                sets += [
                    f"{column} = CASE d.c{marks[-1]} WHEN '' THEN t.{column} ELSE d.c{place} END"
                    for column, place in zip(prints, marks, strict=True)
                ]
                same = [
                    f"t.{column} IS NOT DISTINCT FROM d.c{place}" for column, place in zip(sealed, old, strict=True)
                ]
                kinds = ["bigint", *["bytea"] * len((*new, *old)), *["text"] * len(marks)]
                names = ", ".join(["pk", *(f"c{place}" for place in (*new, *old, *marks))])
                cursor.execute(
                    f"UPDATE {table} AS t SET {', '.join(sets)}, {seal_key} = %s"  # noqa: S608 - names of our own columns, no value
                    f" FROM unnest({', '.join(f'%s::{kind}[]' for kind in kinds)}) AS d({names})"
                    f" WHERE t.{pk} = d.pk AND {' AND '.join(same)}",
                    [keys.seal.newest.id, [row.pk for row in rows], *map(list, zip(*data, strict=True))],
                )
                return int(cursor.rowcount)
            sets = [f"{column} = %s" for column in sealed]
            sets += [f"{column} = CASE %s WHEN '' THEN {column} ELSE %s END" for column in prints]
            same = [f"{column} IS %s" for column in sealed]
            statement = (
                f"UPDATE {table} SET {', '.join(sets)}, {seal_key} = %s"  # noqa: S608 - as above
                f" WHERE {pk} = %s AND {' AND '.join(same)}"
            )
            written = 0
            for row, values in zip(rows, data, strict=True):
                paired = [part for place in marks for part in (row.digest_key, values[place])]
                cursor.execute(statement, [*row.new, *paired, keys.seal.newest.id, row.pk, *row.old])
                written += cursor.rowcount
            return written

    def _column(self, name: str) -> str:
        meta = self.model._meta
        found = meta.pk if name == "pk" else meta.get_field(name)
        return self._quoted(str(found.column))  # type: ignore[union-attr]  # a field of ours has a column

    def _quoted(self, name: str) -> str:
        quoted: str = connection.ops.quote_name(name)
        return quoted


def _keep_denied(moved: dict[str, str], key_id: str) -> None:
    """Put the new fingerprints of denied secrets on the deny list: under another key a denied one stays denied."""
    denied = RevokedFingerprint.objects.filter(fingerprint__in=list(moved)) if moved else ()
    RevokedFingerprint.objects.bulk_create(
        [
            RevokedFingerprint(
                fingerprint=moved[row.fingerprint],
                fingerprint_key_id=key_id,
                revocation_id=row.revocation_id,
                revoked_at=row.revoked_at,
            )
            for row in denied
        ],
        ignore_conflicts=True,
    )


_REGISTERED: Final[dict[str, SealedRows]] = {}


def register(rows: SealedRows) -> None:
    """Make rows known to everything that has to do with keys. Once for each name."""
    _REGISTERED[rows.name] = rows


def registered() -> Iterable[SealedRows]:
    return tuple(_REGISTERED.values())


register(
    SealedModel(
        OAuthToken,
        SealedColumn(vault.ACCESS, "access_fingerprint"),
        SealedColumn(vault.REFRESH, "refresh_fingerprint"),
        name="tokens",
        tombstones=Q(state=OAuthToken.State.REVOKED),
    )
)
register(
    SealedModel(
        ApiKey,
        SealedColumn("sealed_key", "fingerprint"),
        name="API keys",
        tombstones=Q(state=ApiKey.State.REVOKED),
    )
)
register(
    SealedModel(
        UpstreamRevocation,
        SealedColumn(vault.ACCESS),
        SealedColumn(vault.REFRESH),
        name="revoked tokens that Flowlu is told about",
        sealed_for=OAuthToken._meta.label,
        row_uuid="oauth_token__uuid",
    )
)
