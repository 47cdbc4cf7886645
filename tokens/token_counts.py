"""How many tokens there are, at a cost that does not grow with them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db import connection

from tokens.models import OAuthToken

MOST_COUNTED: Final = 20_000


@dataclass(frozen=True, slots=True)
class TokenCounts:
    by_state: Mapping[str, int]
    by_seal_key: Mapping[str, int]  # of those that hold a sealed value
    estimated: bool


def token_counts() -> TokenCounts | None:
    """Return how many tokens there are by state and by sealing key; None where that cannot be told cheaply.

    Up to `MOST_COUNTED` are counted. More are estimated, on PostgreSQL, from its statistics of the two columns: as near
    as the last ANALYZE, and a key that next to nothing is under may be missing. Two statements at most.
    """
    table = OAuthToken._meta.db_table
    if connection.vendor == "postgresql" and (estimated := _estimated(table)):
        return estimated
    first = f"SELECT state, seal_key_id FROM {table} LIMIT {MOST_COUNTED + 1}"  # noqa: S608 - names of ours
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT state, seal_key_id, COUNT(*) FROM ({first}) AS first GROUP BY state, seal_key_id")  # noqa: S608
        rows = cursor.fetchall()
    if sum(number for _state, _key, number in rows) > MOST_COUNTED:
        return None
    states: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    for state, key, number in rows:
        states[state] += number
        keys[key] += number
    return _counts(states, keys, estimated=False)


def _estimated(table: str) -> TokenCounts | None:
    """Return what the statistics say; None where they know of few, or the table was never analysed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT told.attname, rows.reltuples, told.most_common_vals::text::text[], told.most_common_freqs"
            " FROM pg_class AS rows JOIN pg_namespace AS place ON place.oid = rows.relnamespace"
            " JOIN pg_stats AS told ON told.schemaname = place.nspname AND told.tablename = rows.relname"
            " WHERE rows.oid = %s::regclass AND rows.reltuples > %s AND told.attname IN ('state', 'seal_key_id')",
            [table, MOST_COUNTED],
        )
        found = {
            column: {value: round(total * part) for value, part in zip(values or (), parts or (), strict=True)}
            for column, total, values, parts in cursor.fetchall()
        }
    if len(found) < 2:
        return None
    return _counts(found["state"], found["seal_key_id"], estimated=True)


def _counts(states: Mapping[str, int], keys: Mapping[str, int], *, estimated: bool) -> TokenCounts:
    by_state = {state: states.get(state, 0) for state in OAuthToken.State.values}
    return TokenCounts(by_state, {key: number for key, number in keys.items() if key}, estimated)
