"""Bulk revoke: rows a second and peak memory of the command, beside a bare UPDATE of as many rows."""

import time
from collections.abc import Iterator

from django.db import connection

from tests import factories
from tests.bench.figures import Figure, run_command
from tokens.models import OAuthToken, Revocation, RevokedFingerprint

_PORTALS = 50


def measure(scale: float) -> Iterator[Figure]:
    factories.operator("bench", "Responder")
    before: float | None = None
    for thousands in (10, 100):
        count = max(100, int(thousands * 1000 * scale))
        app_id = f"com.example.bench{thousands}"
        fill(app_id, count)
        update = bare_update(count)
        named = ("--app", app_id, "--operator", "bench", "--reason", "A bench.")
        looked = run_command("revoke_tokens", "--dry-run", *named)
        pin = looked.output.rpartition("--expect ")[2].strip()
        empty = run_command(
            "revoke_tokens", "--dry-run", "--token", str(OAuthToken.objects.latest("pk").pk), *named[2:]
        )
        yield Figure(f"look at {count:,} tokens", looked.seconds, "s", "the same for one token", empty.seconds)
        ended = run_command("revoke_tokens", *named, "--expect", pin)
        row = Revocation.objects.get()
        assert (row.tokens_cut, row.state) == (count, "done"), ended.output
        assert RevokedFingerprint.objects.count() == 2 * count
        # From the confirmation to the probe after the last commit, as the ledger says.
        assert row.asked_at is not None
        assert row.probed_at is not None
        took = (row.probed_at - row.asked_at).total_seconds()
        yield Figure(
            f"revoke {count:,} tokens, pinned",
            count / took,
            "rows/s",
            "a bare UPDATE of as many rows",
            count / update,
            f"{took:.1f} s",
        )
        yield Figure(
            f"peak memory of revoking {count:,} tokens",
            ended.peak_mib,
            "MiB",
            "the same for a tenth of them" if before else "looking at one token",
            before or empty.peak_mib,
        )
        before = ended.peak_mib
        clear()


def fill(app_id: str, count: int) -> None:
    """Store tokens as they are after a while: each with a refresh token, ten of a user."""
    application = factories.application(app_id)
    for number in range(_PORTALS):
        factories.launch(application, portal=f"{app_id.rpartition('.')[2]}-{number}.flowlu.com", user_id="1")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO installations_portaluser (portal_id, flowlu_user_id, name, is_portal_admin, first_seen_at,"
            " last_seen_at) SELECT i.portal_id, (u + 1)::text, 'Somebody', false, now(), now()"
            " FROM installations_installation i, generate_series(1, %s) u WHERE i.application_id = %s",
            [count // _PORTALS // 10 + 1, application.pk],
        )
        cursor.execute(
            "INSERT INTO tokens_oauthtoken (uuid, installation_id, portal_user_id, sealed_access_token,"
            " sealed_refresh_token, access_fingerprint, refresh_fingerprint, fingerprint_key_id, seal_key_id,"
            " generation, state, needs_proof, created_at, stored_at, expires_at)"
            " SELECT gen_random_uuid(), i.id, u.id, sha512(f.n::text::bytea) || sha512('x'), sha512(f.n::text::bytea),"
            " md5(f.n::text || %s) || md5('a' || f.n), md5('r' || f.n || %s) || md5('b' || f.n), '1', 'k1', 1,"
            " 'active', false, now(), now(), now() + interval '1 day'"
            " FROM (SELECT u.id, u.portal_id, row_number() OVER (ORDER BY u.id) AS place"
            "       FROM installations_portaluser u JOIN installations_installation i USING (portal_id)"
            "       WHERE i.application_id = %s) u"
            " JOIN installations_installation i ON i.portal_id = u.portal_id AND i.application_id = %s"
            " JOIN generate_series(0, %s - 1) f(n) ON f.n / 10 + 1 = u.place",
            [app_id, app_id, application.pk, application.pk, count],
        )
        assert cursor.rowcount == count, cursor.rowcount
        cursor.execute("VACUUM ANALYZE")


def bare_update(count: int) -> float:
    """Return the seconds that one UPDATE of as many rows of the same table takes; it is committed."""
    with connection.cursor() as cursor:
        began = time.monotonic()
        cursor.execute("UPDATE tokens_oauthtoken SET stale_at = NULL, seal_key_id = 'k1' WHERE state = 'active'")
        took = time.monotonic() - began
        assert cursor.rowcount == count
        cursor.execute("VACUUM ANALYZE tokens_oauthtoken")
    return took


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE tokens_oauthtoken, tokens_revocation CASCADE")
