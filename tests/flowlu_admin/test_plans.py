"""By which plans PostgreSQL answers what is asked often, in a world of some thousand rows of each kind.

The planner is left as it is and knows the tables (ANALYZE). It likes to read a table whole as long as that is small:
what goes by an index here does so all the more among millions of rows.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client, TestCase
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Installation, Portal
from tests import factories
from tests.backend import Backend
from tests.embedded import Frontend
from tests.refreshed import hand_over_both, refreshed_here, soon
from tokens import activity, backend_reads, day_counts, observations, refusals, selectors, sweeps, usage
from tokens.models import EmbedSession, OAuthToken

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("plans")]

BIG = 1000  # rows, from which on a table is taken for one that grows
SMALL_WORLD = 2000  # installations
# Kinds of rows of which a made-up world has few, and how many more there shall be of each.
MOST = 100  # rows that a request may have to look at in one of them, as the planner expects it
# Some dozen rows a day, whatever the load.
BOUNDED = {"tokens_daycount"}
MORE = {"tokens_servicecall": 3, "tokens_revocation": 10}


def _more_rows(cursor: Any) -> None:
    for table, times in MORE.items():
        cursor.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_name = %s AND column_name <> 'id'",
            [table],
        )
        (columns,) = cursor.fetchone()
        cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}, generate_series(1, {times})")
    cursor.execute(
        """
        INSERT INTO tokens_refreshattempt (oauth_token_id, generation, trigger, outcome, error, refresh_fingerprint,
               tries, started_at, finished_at)
        SELECT id, step, 'call', 'fresh', '', '', 0, at, at
          FROM tokens_oauthtoken, generate_series(1, 2) step,
               LATERAL (SELECT now() - step * interval '30 days' AS at) t;
        INSERT INTO tokens_replacedfingerprint (oauth_token_id, fingerprint, fingerprint_key_id, replaced_at)
        SELECT id, encode(sha256(id::text::bytea), 'hex'), 'f1', now() - (id % 29) * interval '1 day'
          FROM tokens_oauthtoken;
        INSERT INTO tokens_upstreamrevocation (oauth_token_id, revocation_id, seal_key_id, state, attempts, error,
               created_at, confirmed_at, closed_by, closed_reason)
        SELECT id, revocation_id, '', 'confirmed', 1, '', now(), now(), '', ''
          FROM tokens_oauthtoken, generate_series(1, 10) WHERE revocation_id IS NOT NULL;
        INSERT INTO flowlu_admin_noticeoccasion (kind, key, happened_at, count, label, path, created_at)
        SELECT 'waits', n::text, at, 1, '', '', at
          FROM generate_series(1, 3000) n, LATERAL (SELECT now() - n * interval '1 hour' AS at) t;
        INSERT INTO flowlu_admin_noticedelivery
               (uuid, channel, recipient, daily, state, created_at, due_at, tries, problem, ended_at)
        SELECT gen_random_uuid(), 'webhook', 'webhook:1', false, CASE WHEN n < 5 THEN 'waiting' ELSE 'sent' END,
               at, at, 1, '', CASE WHEN n < 5 THEN NULL ELSE at END
          FROM generate_series(1, 3000) n, LATERAL (SELECT now() - n * interval '1 hour' AS at) t;
        INSERT INTO flowlu_admin_notice (occasion_id, recipient, daily, delivery_id)
        SELECT o.id, 'webhook:1', false, d.id
          FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM flowlu_admin_noticeoccasion) o
          JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM flowlu_admin_noticedelivery) d USING (n);
        SET CONSTRAINTS ALL IMMEDIATE
        """
    )


_LOOKED_UP = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"


@dataclass(frozen=True, slots=True)
class Known:
    """What is there to plan with: tables that grow, and indexes of a part of their rows."""

    big: frozenset[str]
    partial: frozenset[str]


# What is read whole on purpose: the table with a part of the statement, and why.
UNJUDGED = ("installations_installation", '"installations_liveness"."installation_id" IS NULL')
COUNTED = ("installations_installation", 'COUNT("installations_installation"."id") AS "number"')
FREE = ("installations_portaluser", '"locked_at" IS NULL LIMIT 1001')
ALIVE = ("installations_liveness", '"installations_liveness"."state" = %s LIMIT 1001')
WHOLE = {
    UNJUDGED: "every five minutes, for what a release before verdicts made; docs/operations.md says how long it takes",
    COUNTED: "every five minutes, for the chart of installations by status; the same",
    FREE: "nearly all are such, so a thousand are found at once",
    ALIVE: "the same of installations that are in use; the others are found by the index of the state",
}


@dataclass
class Asked:
    """The statements that were asked, and what is wrong with the plans of some of them."""

    known: Known
    strictly: bool
    statements: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    on_purpose: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        text = str(sql)
        if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text) and text not in self.statements:
            self.statements.append(text)
            for table, how in self._wrong_with(text, params):
                whole = next((known for known in WHOLE if known[0] == table and known[1] in text), None)
                if whole is None:
                    self.wrong.append(f"{how} of {table} in {text[:2000]}")
                else:
                    self.on_purpose.add(whole)
        return execute(sql, params, many, context)

    def _wrong_with(self, text: str, params: Any) -> list[tuple[str, str]]:
        found = list(read_whole(plan_of(text, params), self.known, most=MOST if self.strictly else None))
        if not found or self.strictly:
            return found
        # A table of this size is read whole sooner than looked up in some hundred places. Is there another way?
        return list(read_whole(plan_of(text, params, _LOOKED_UP), self.known))


def plan_for_any_values(sql: str) -> dict[str, Any]:
    """Return the plan that is made once for all values, which PostgreSQL takes where it is as good as one for each."""
    names: list[str] = []

    def numbered(mark: re.Match[str]) -> str:
        if mark[1] is None or mark[1] not in names:
            names.append(mark[1])
        return f"${len(names) if mark[1] is None else names.index(mark[1]) + 1}"

    text = re.sub(r"%(?:\((\w+)\))?s", numbered, sql)
    with transaction.atomic(), connection.connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = force_generic_plan; PREPARE any_values AS {text}")
        cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE any_values({', '.join(['NULL'] * len(names))})")
        (found,) = cursor.fetchone()
        cursor.execute("DEALLOCATE any_values")
        transaction.set_rollback(True)
    return dict(found[0]["Plan"])


def plan_of(sql: str, params: Any, setting: str = "") -> dict[str, Any]:
    connection.ensure_connection()
    with transaction.atomic(), connection.connection.cursor() as cursor:
        if setting:
            cursor.execute(setting)
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        (found,) = cursor.fetchone()
        transaction.set_rollback(True)  # and the setting with it
    return dict(found[0]["Plan"])


def read_whole(
    node: dict[str, Any], known: Known, *, is_cut: bool = False, most: int | None = None
) -> Iterator[tuple[str, str]]:
    """Yield each big table that a plan reads from end to end, or whose index it does, and how.

    With `most`, also each of which it expects more rows than that. What LIMIT cuts short is not read whole, as long as
    the rows have to meet no condition; nor is an index that holds nothing but what is looked for.
    """
    kind, table, index = node["Node Type"], node.get("Relation Name"), node.get("Index Name", "")
    # A sort takes everything in before it gives the first row, and an anti join may find no row to give.
    takes_all = kind in ("Sort", "Hash", "Aggregate", "ModifyTable") or node.get("Join Type") == "Anti"
    is_cut = (is_cut or kind == "Limit") and not takes_all
    goes_on = is_cut and "Filter" not in node
    looks_up = "Index Cond" in node or index in known.partial
    if table in known.big and not looks_up and not goes_on and kind in ("Seq Scan", "Index Scan", "Index Only Scan"):
        yield table, f"{kind} {index} {node.get('Filter', '')[:200]}"
    elif table in known.big and most is not None and node["Plan Rows"] > most:
        yield table, f"{kind} {index} of {node['Plan Rows']} rows"
    for below in node.get("Plans", ()):
        yield from read_whole(below, known, is_cut=is_cut, most=most)


def flush() -> None:
    for noted in (usage, observations, activity, refusals, day_counts):
        noted.flush()


class PlansTest(TestCase):
    """One world for all, which a class of Django's keeps in a transaction that is rolled back at its end."""

    known: Known

    @classmethod
    def setUpTestData(cls) -> None:
        call_command("seed", "--installations", str(SMALL_WORLD), "--yes-this-database-is-for-trials", verbosity=0)
        with connection.cursor() as cursor:
            _more_rows(cursor)
            cursor.execute("ANALYZE")
            cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= %s", [BIG])
            big = frozenset(name for (name,) in cursor.fetchall()) - BOUNDED
            cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
            cls.known = Known(big, frozenset(name for (name,) in cursor.fetchall()))

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # what the planner knows outlives the rows
        connection.close()

    @pytest.fixture(autouse=True)
    def _given(self, sandbox: SandboxServer, api: APIClient, settings: Any) -> None:
        self.sandbox, self.api, self.settings = sandbox, api, settings

    @contextmanager
    def asked(self, *whole: tuple[str, str], strictly: bool = False) -> Iterator[Asked]:
        """Look at every statement until the block ends. Nothing is read whole but what is named."""
        found = Asked(self.known, strictly)
        with connection.execute_wrapper(found):
            yield found
        assert found.statements
        assert found.wrong == []
        assert found.on_purpose <= set(whole)

    def page(self) -> Frontend:
        """Open a page in an approved installation that is one of many."""
        application = refreshed_here(factories.application())
        found = Frontend(self.api, self.sandbox, "acme.flowlu.com").open()
        factories.approve(Installation.objects.live().get(application=application), "crm.accounts.full")
        return found

    def test_requests_of_a_page(self) -> None:
        oauth, settings = self.sandbox.state.oauth, self.settings
        settings.FLOWLU_TOKEN_URL, settings.OAUTH_TOTAL_SECONDS = self.sandbox.token_url, 2
        settings.FLOWLU_CLIENT_ID, settings.FLOWLU_CLIENT_SECRET = oauth.client_id, oauth.client_secret
        with self.asked(strictly=True):
            page = self.page()
            assert page.open().accounts().status_code == 200
            assert page.get("session").status_code == page.get("permissions").status_code == 200
            assert hand_over_both(page).status_code == 204
        here = EmbedSession.objects.filter(token_hash=selectors.hash_session_token(page.session_token))
        soon(here.get().oauth_token)
        here.update(last_used_at=timezone.now() - timedelta(minutes=5))
        with self.asked(strictly=True):
            assert page.accounts().status_code == 200  # refreshed here before it was sent
            flush()
        with self.asked():
            assert page.delete("session/token").status_code == 204
            assert page.accounts().json()["error"] == "token_revoked"
            assert page.delete("session").status_code == 204
            flush()

    def test_calls_of_backend_code(self) -> None:
        page = self.page()
        here = Installation.objects.get(portal__domain=page.portal)
        by_user, by_system = factories.purpose(), factories.purpose("nightly", acts_as="system")
        allowed: Any = {"applications": [here.application], "portals": [here.portal]}
        backend = Backend(factories.service_client(purposes=[by_user, by_system], **allowed).key)
        factories.api_key(here, purposes=[by_system])

        with self.asked(strictly=True) as found:
            assert backend.get().status_code == 200
            backend.get(headers={"X-Purpose": "nightly", "X-Act-As": "system:com.example.desk@acme.flowlu.com"})
            flush()

        assert any("FROM tokens_serviceclient c" in statement for statement in found.statements)
        assert any("LEFT JOIN tokens_apikey k" in statement for statement in found.statements)

    def test_sweep(self) -> None:
        self.page()
        with self.asked(UNJUDGED, COUNTED):
            assert sweeps.run_due().failed == []

    def test_lists_and_first_page_and_metrics(self) -> None:
        client = Client()
        client.force_login(factories.operator("rita", superuser=True), "django.contrib.auth.backends.ModelBackend")
        self.settings.METRICS_TOKEN = "a-token"
        domain = Portal.objects.order_by("-pk").values_list("domain", flat=True)[0]
        user = OAuthToken.objects.order_by("-pk").values_list("portal_user__flowlu_user_id", flat=True)[0]
        search, texts = reverse("admin:search"), (domain, f"{domain}/{user}", "17", "José", "nobody-has-this")
        with self.asked(FREE, ALIVE):
            for model in admin.site._registry:
                url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
                opened = client.get(url)
                assert opened.status_code == 200
                if next_url := opened.context["cl"].next_url:
                    assert client.get(url + next_url).status_code == 200
            for text in texts:
                assert client.get(search, {"q": text}).status_code == 200
            assert client.get(reverse("admin:index")).status_code == 200
            assert client.get("/metrics", headers={"Authorization": "Bearer a-token"}).status_code == 200

    def test_statements_that_are_planned_once(self) -> None:
        connection.ensure_connection()
        for statement in (selectors._BY_TOKEN, selectors._BY_ID, backend_reads._DECISION, backend_reads._CLIENT):
            assert list(read_whole(plan_for_any_values(statement), self.known, most=MOST)) == []

    def test_what_is_read_whole_is_found(self) -> None:
        """By name, or the rest of this file could not fail."""
        whole = {
            "SELECT * FROM tokens_oauthtoken": "Seq Scan ",
            "SELECT * FROM tokens_embedsession WHERE length(token_hash) = 1 LIMIT 1": "Seq Scan ",
            "SELECT * FROM tokens_oauthtoken ORDER BY id": "Index Scan tokens_oauthtoken_pkey",
            "SELECT * FROM installations_evidence WHERE detail = 'x' ORDER BY id LIMIT 5": "Index Scan",
        }
        for statement, how in whole.items():
            ((_table, found),) = read_whole(plan_of(statement, None, _LOOKED_UP), self.known)
            assert found.startswith(how), statement
        assert list(read_whole(plan_of("SELECT * FROM tokens_oauthtoken ORDER BY id LIMIT 9", None), self.known)) == []
        many = plan_of("SELECT * FROM tokens_oauthtoken WHERE id > 1 LIMIT 2000", None, _LOOKED_UP)
        assert list(read_whole(many, self.known)) == []
        assert len(list(read_whole(many, self.known, most=MOST))) == 1
