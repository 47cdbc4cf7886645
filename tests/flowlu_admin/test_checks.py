"""System checks: each finding by its id, none when all is well, and Django runs them."""

import base64
import os
import subprocess
import sys

import pytest
from django.core.checks import Tags, run_checks
from django.core.exceptions import ImproperlyConfigured

from flowlu_admin.checks import check_settings


def key(start):
    return base64.b64encode(bytes(range(start, start + 32))).decode()


@pytest.fixture
def production(settings):
    """Settings of a production service that are all well."""
    settings.DEBUG = False
    settings.SECRET_KEY = "abcdefghij" * 6
    settings.TOKEN_KEYS = f"k2:{key(0)},k1:{key(32)}"
    settings.FINGERPRINT_KEY = key(64)
    settings.AUDIT_KEY = key(96)
    settings.ALLOWED_HOSTS = ["console.example.com"]
    settings.PUBLIC_URL = "https://console.example.com"
    settings.FLOWLU_PORTAL_URL = "https://{portal}"
    settings.FLOWLU_SDK_URL = ""
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.SESSION_COOKIE_HTTPONLY = True
    settings.HANDSHAKE_RATE, settings.CALL_RATE = "120/m", "0"
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "::1", "unix"]
    settings.FLOWLU_PORTAL_SUFFIXES = [".flowlu.com"]
    settings.FLOWLU_CONNECT_SECONDS, settings.FLOWLU_TOTAL_SECONDS = 3, 30
    settings.FLOWLU_TOKEN_HEADER, settings.FLOWLU_RETRY_HEADER = "Authorization: Bearer {token}", "Retry-After"
    settings.FLOWLU_ERROR_CODES, settings.FLOWLU_EXPIRY_ZONE = {"11": "stale"}, "UTC"
    settings.EMBED_SESSION_IDLE, settings.EMBED_SESSION_MAX = 1800, 28800
    settings.FLOWLU_TOKEN_URL = settings.FLOWLU_REVOCATION_URL = ""
    settings.FLOWLU_CLIENT_ID = settings.FLOWLU_CLIENT_SECRET = ""
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = "smtp.example.com", True, False
    settings.DEFAULT_FROM_EMAIL = "Console <console@example.com>"
    settings.NOTICE_WEBHOOK_URL = settings.NOTICE_WEBHOOK_SECRET = ""
    settings.OIDC_ISSUER = settings.OIDC_CLIENT_ID = settings.OIDC_CLIENT_SECRET = ""
    settings.REFRESH_ATTEMPT_DAYS = 92
    settings.WEB_CONCURRENCY, settings.SHARES_COUNTS = 1, False
    settings.STATIC_ROOT, settings.METRICS_TOKEN = None, ""
    settings.DRILL_DATABASE_URL = "postgres://drill:a%20b@db.example.com/postgres"
    settings.REVIEW_DAYS = {"low": 365, "medium": 180, "high": 90}
    settings.UNUSED_DAYS, settings.SCOPE_USAGE_DAYS = {"low": 180, "medium": 90, "high": 60}, 181
    return settings


@pytest.fixture
def development(production):
    production.DEBUG = True
    production.ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", "console.localhost"]
    production.PUBLIC_URL = "http://127.0.0.1:8000"
    production.SESSION_COOKIE_SECURE = production.CSRF_COOKIE_SECURE = False
    return production


def findings():
    return [message.id.removeprefix("flowlu_admin.") for message in check_settings()]


def test_production_that_is_well_has_no_finding(production):
    assert findings() == []


def test_deployment_that_is_well_has_no_finding_of_django_either(project_root):
    """By the command that docs/operations.md names, in a process of its own with what a production service is given."""
    environment = {
        **{name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COVERAGE")},
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings",
        "SECRET_KEY": "abcdefghij" * 6,
        "TOKEN_KEYS": f"k1:{key(0)}",
        "FINGERPRINT_KEY": key(64),
        "AUDIT_KEY": key(96),
        "ALLOWED_HOSTS": "console.example.com",
        "PUBLIC_URL": "https://console.example.com",
        "EMAIL_HOST": "smtp.example.com",
        "DEFAULT_FROM_EMAIL": "console@example.com",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",  # not asked
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    ended = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=project_root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "no issues" in ended.stdout


def test_development_on_this_machine_has_no_finding(development):
    assert findings() == []


def test_several_processes_have_to_share_what_they_count(production):
    production.WEB_CONCURRENCY = 2
    assert findings() == ["E017"]

    production.SHARES_COUNTS = True
    assert findings() == []


def test_folder_of_static_files_is_one_that_was_filled(production, tmp_path):
    production.STATIC_ROOT = str(tmp_path)
    assert findings() == ["E025"]

    (tmp_path / "staticfiles.json").touch()
    assert findings() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"DEFAULT_FROM_EMAIL": ""},
        {"DEFAULT_FROM_EMAIL": "console"},
        {"EMAIL_USE_SSL": True},
        {"EMAIL_USE_TLS": False},
    ],
)
def test_mail_is_sent_over_tls_and_by_somebody(production, changed):
    for name, value in changed.items():
        setattr(production, name, value)
    assert findings() == ["E021"]

    production.EMAIL_HOST = ""
    assert findings() == ["W001"]  # nobody is told


def test_mail_server_on_this_machine_needs_no_tls(production):
    production.EMAIL_HOST, production.EMAIL_USE_TLS = "127.0.0.1", False

    assert findings() == []


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("", []),
        ("a-token-of-thirty-two-and-more-0", []),
        ("a-token-of-less-than-thirty-two", ["E027"]),
        ("a token of thirty-two and more 0", ["E027"]),
        ("ä-token-of-thirty-two-and-more-0", ["E027"]),
        ("a-token-of-thirty-two-and-more\n", ["E027"]),
        (key(0), ["E027"]),
        ("abcdefghij" * 4, ["E027"]),
    ],
)
def test_token_of_metrics_is_long_and_for_nothing_else(production, token, found):
    production.METRICS_TOKEN = token
    assert findings() == found


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"EMAIL_HOST": ""}, []),
        ({"NOTICE_WEBHOOK_URL": "http://hooks.example.com/a"}, ["E022"]),
        ({"NOTICE_WEBHOOK_URL": "https://hooks.example.com/a,https://ana@hooks.example.com/b"}, ["E022"]),
        ({"NOTICE_WEBHOOK_SECRET": ""}, ["E022"]),
        ({"NOTICE_WEBHOOK_SECRET": "x" * 31}, ["E022"]),
        ({"SECRET_KEY": "a-webhook-secret-of-thirty-two-and-more-and-then-some-0123"}, ["E022"]),
        ({"NOTICE_DIGEST_HOUR": 24}, ["E022"]),
        ({"NOTICE_WEBHOOK_SECONDS": 36}, ["E013"]),
        ({"NOTICE_TEST_RATE": "often"}, ["E009"]),
    ],
)
def test_webhook_is_https_under_a_key_of_its_own(production, changed, found):
    production.NOTICE_WEBHOOK_URL = "https://hooks.example.com/a, https://hooks.example.com/b"
    production.NOTICE_WEBHOOK_SECRET = "a-webhook-secret-of-thirty-two-and-more"
    for name, value in changed.items():
        setattr(production, name, value)
    assert findings() == found


def test_several_processes_of_a_first_look_need_not(development):
    development.WEB_CONCURRENCY = 2

    assert findings() == []


CLIENT = {
    "FLOWLU_TOKEN_URL": "https://{portal}/oauth/token",
    "FLOWLU_CLIENT_ID": "us",
    "FLOWLU_CLIENT_SECRET": "a-client-secret",
}
PROVIDER = {
    "OIDC_ISSUER": "https://id.example.com/realms/staff",
    "OIDC_CLIENT_ID": "console",
    "OIDC_CLIENT_SECRET": "a-secret-of-the-provider",
}
CASES = {
    "drill-at-no-address": ({"DRILL_DATABASE_URL": "host=db.example.com password=abcdabcdabcd"}, ["E028"]),
    "drill-at-two-databases": ({"DRILL_DATABASE_URL": "postgres://u:abcdabcdabcd@h/a?dbname=b"}, ["E028"]),
    "drill-with-a-password-as-it-is": ({"DRILL_DATABASE_URL": "postgres://u:abcdabcdabcd%@h/a"}, ["E028"]),
    "high-risk-reviewed-later": ({"REVIEW_DAYS": {"low": 300, "medium": 100, "high": 101}}, ["E018"]),
    "medium-risk-unused-longer": ({"UNUSED_DAYS": {"low": 90, "medium": 91, "high": 60}}, ["E018"]),
    "reviewed-in-another-life": ({"REVIEW_DAYS": {"low": 3661, "medium": 100, "high": 90}}, ["E018"]),
    "use-is-not-kept-as-long": ({"SCOPE_USAGE_DAYS": 180}, ["E019"]),
    "spent-tokens-forgotten-soon": ({"REFRESH_ATTEMPT_DAYS": 91}, ["E024"]),
    "no-secret-key": ({"SECRET_KEY": ""}, ["E001"]),
    "no-token-keys": ({"TOKEN_KEYS": ""}, ["E001"]),
    "no-fingerprint-key": ({"FINGERPRINT_KEY": ""}, ["E001"]),
    "no-audit-key": ({"AUDIT_KEY": ""}, ["E001"]),
    "nothing-set": (dict.fromkeys(("SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY"), ""), ["E001"] * 4),
    "short-secret-key": ({"SECRET_KEY": "abcdefghij" * 4 + "x" * 9}, ["E002"]),
    "monotonous-secret-key": ({"SECRET_KEY": "abcd" * 20}, ["E002"]),
    "generated-secret-key": ({"SECRET_KEY": "django-insecure-" + "abcdefghij" * 6}, ["E002"]),
    "token-key-not-base64": ({"TOKEN_KEYS": "k1:no"}, ["E003"]),
    "token-key-of-zeros": ({"TOKEN_KEYS": "k1:" + base64.b64encode(bytes(32)).decode()}, ["E003"]),
    "token-key-twice": ({"TOKEN_KEYS": f"k2:{key(0)},k1:{key(0)}"}, ["E003"]),
    "short-audit-key": ({"AUDIT_KEY": base64.b64encode(bytes(range(16))).decode()}, ["E003"]),
    "fingerprint-key-is-a-token-key": ({"FINGERPRINT_KEY": key(0)}, ["E004"]),
    "audit-key-is-an-old-token-key": ({"AUDIT_KEY": f"a:{key(32)}"}, ["E004"]),
    "audit-key-is-the-fingerprint-key": ({"AUDIT_KEY": key(64)}, ["E004"]),
    "secret-key-is-a-token-key": ({"SECRET_KEY": key(32) + "abcdefghij"}, ["E004"]),
    "secret-key-is-the-audit-key": ({"SECRET_KEY": key(96) + "abcdefghij"}, ["E004"]),
    "no-host": ({"ALLOWED_HOSTS": []}, ["E006"]),
    "any-host": ({"ALLOWED_HOSTS": ["console.example.com", "*"]}, ["E006"]),
    "public-address-in-clear": ({"PUBLIC_URL": "http://console.example.com"}, ["E007"]),
    "portal-address-in-clear": ({"FLOWLU_PORTAL_URL": "http://{portal}"}, ["E007"]),
    "sdk-address-in-clear": ({"FLOWLU_SDK_URL": "http://cdn.example.com/sdk.js"}, ["E007"]),
    "address-without-a-scheme": ({"PUBLIC_URL": "console.example.com"}, ["E007"]),
    "session-cookie-in-clear": ({"SESSION_COOKIE_SECURE": False}, ["E008"]),
    "csrf-cookie-in-clear": ({"CSRF_COOKIE_SECURE": False}, ["E008"]),
    "session-cookie-for-scripts": ({"SESSION_COOKIE_HTTPONLY": False}, ["E008"]),
    "misspelt-handshake-rate": ({"HANDSHAKE_RATE": "120"}, ["E009"]),
    "misspelt-call-rate": ({"CALL_RATE": "off"}, ["E009"]),
    "rate-of-nothing": ({"CALL_RATE": "0/m"}, ["E009"]),
    "misspelt-proxy": ({"TRUSTED_PROXIES": ["10.0.0.0/8", "proxy"]}, ["E010"]),
    "suffix-without-a-dot": ({"FLOWLU_PORTAL_SUFFIXES": ["flowlu.com"]}, ["E011"]),
    "suffix-of-a-whole-top-level": ({"FLOWLU_PORTAL_SUFFIXES": [".com"]}, ["E011"]),
    "suffix-in-capitals": ({"FLOWLU_PORTAL_SUFFIXES": [".Flowlu.com"]}, ["E011"]),
    "suffix-outside-ascii": ({"FLOWLU_PORTAL_SUFFIXES": [".flowlü.com"]}, ["E011"]),
    "connect-longer-than-all": ({"FLOWLU_CONNECT_SECONDS": 31}, ["E013"]),
    "longer-than-a-stop-waits": ({"FLOWLU_TOTAL_SECONDS": 36}, ["E013"]),
    "idle-longer-than-life": ({"EMBED_SESSION_IDLE": 28801}, ["E012"]),
    "token-address-without-client": ({"FLOWLU_TOKEN_URL": "https://id.example.com/token"}, ["E014"]),
    "client-without-an-address": (
        {"FLOWLU_CLIENT_ID": "us", "FLOWLU_CLIENT_SECRET": "a-client-secret"},
        ["E014"],
    ),
    "client-without-its-secret": (
        {"FLOWLU_TOKEN_URL": "https://id.example.com/token", "FLOWLU_CLIENT_ID": "us"},
        ["E014"],
    ),
    "token-address-in-clear": (CLIENT | {"FLOWLU_TOKEN_URL": "http://id.example.com/token"}, ["E007"]),
    "revocation-address-in-clear": (CLIENT | {"FLOWLU_REVOCATION_URL": "http://id.example.com/revoke"}, ["E007"]),
    "token-address-with-a-password": (CLIENT | {"FLOWLU_TOKEN_URL": "https://us:pw@id.example.com/token"}, ["E015"]),
    "client-secret-is-the-audit-key": (CLIENT | {"FLOWLU_CLIENT_SECRET": key(96)}, ["E016"]),
    "client-secret-is-the-secret-key": (CLIENT | {"FLOWLU_CLIENT_SECRET": "abcdefghij" * 6}, ["E016"]),
    "token-in-no-header": ({"FLOWLU_TOKEN_HEADER": "Bearer {token}"}, ["E026"]),
    "token-in-another-ones-header": ({"FLOWLU_TOKEN_HEADER": "Host: {token}"}, ["E026"]),
    "header-without-the-token": ({"FLOWLU_TOKEN_HEADER": "Authorization: Bearer"}, ["E026"]),
    "header-with-two-lines": ({"FLOWLU_TOKEN_HEADER": "X-Token: {token}\r\nX-More: 1"}, ["E026"]),
    "retry-in-no-header": ({"FLOWLU_RETRY_HEADER": "Retry After"}, ["E026"]),
    "error-code-in-words": ({"FLOWLU_ERROR_CODES": {"eleven": "stale"}}, ["E026"]),
    "error-code-of-no-meaning": ({"FLOWLU_ERROR_CODES": {"11": "stale", "22": "forbidden"}}, ["E026"]),
    "no-code-says-that-a-token-is-stale": ({"FLOWLU_ERROR_CODES": {"22": "denied"}}, ["E026"]),
    "expiry-in-no-zone": ({"FLOWLU_EXPIRY_ZONE": "Mars/Olympus"}, ["E026"]),
    "quiet-later-than-suspected": ({"LIVENESS_QUIET_DAYS": 46}, ["E020"]),
    "probes-rarer-than-the-rarest": ({"LIVENESS_PROBE_DAYS": 31}, ["E020"]),
    "evidence-of-two-days-in-one-row": ({"LIVENESS_EVIDENCE_HOURS": 5}, ["E020"]),
    "provider-without-its-secret": (PROVIDER | {"OIDC_CLIENT_SECRET": ""}, ["E023"]),
    "provider-without-its-client": (PROVIDER | {"OIDC_CLIENT_ID": ""}, ["E023"]),
    "provider-without-an-address": (PROVIDER | {"OIDC_ISSUER": ""}, ["E023"]),
    "provider-without-a-way-back": (PROVIDER | {"PUBLIC_URL": ""}, ["E023"]),
    "provider-in-clear": (PROVIDER | {"OIDC_ISSUER": "http://id.example.com"}, ["E007"]),
    "provider-with-a-password": (PROVIDER | {"OIDC_ISSUER": "https://us:pw@id.example.com"}, ["E023"]),
    "provider-with-a-query": (PROVIDER | {"OIDC_ISSUER": "https://id.example.com/?realm=a"}, ["E023"]),
    "provider-longer-than-its-column": (PROVIDER | {"OIDC_ISSUER": "https://id.example.com/" + "a" * 240}, ["E023"]),
    "provider-secret-is-the-audit-key": (PROVIDER | {"OIDC_CLIENT_SECRET": key(96)}, ["E023"]),
    "provider-secret-is-flowlus": (CLIENT | PROVIDER | {"OIDC_CLIENT_SECRET": "a-client-secret"}, ["E023"]),
    "operators-of-no-group": (PROVIDER | {"OIDC_CREATE_OPERATORS": True}, ["E023"]),
    "provider-slower-than-a-stop-waits": (PROVIDER | {"OIDC_TOTAL_SECONDS": 36}, ["E013"]),
    "endpoint-longer-than-a-stop-waits": ({"OAUTH_TOTAL_SECONDS": 36}, ["E013"]),
}


def test_provider_that_is_whole_has_no_finding(production):
    for name, value in (PROVIDER | {"OIDC_CREATE_OPERATORS": True, "OIDC_GROUP_MAP": {"desk": ("Auditor",)}}).items():
        setattr(production, name, value)

    assert findings() == []


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES.keys())
def test_finding_has_its_id(production, changes, expected):
    for name, value in changes.items():
        setattr(production, name, value)

    assert findings() == expected


@pytest.mark.parametrize("host", ["console.example.com", "*", ".example.com", "10.0.0.5", "0.0.0.0"])
def test_debug_on_a_reachable_name_is_a_finding(development, host):
    development.ALLOWED_HOSTS = ["localhost", host]

    assert findings() == ["E005"]


def test_client_that_is_whole_has_no_finding(production):
    for name, value in (CLIENT | {"FLOWLU_REVOCATION_URL": "https://id.example.com/revoke"}).items():
        setattr(production, name, value)

    assert findings() == []


def test_every_id_is_in_the_table():
    covered = {found for _changes, expected in CASES.values() for found in expected} | {"E005", "E017", "E025"}

    assert covered == {f"E{number:03}" for number in (*range(1, 21), 23, 24, 25, 26, 28)}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES.keys())
def test_finding_says_what_is_wrong_and_shows_no_secret(production, changes, expected):
    for name, value in changes.items():
        setattr(production, name, value)

    text = "".join(str(message) for message in check_settings())

    assert text != ""
    shown = [key(start) for start in (0, 32, 64, 96)] + ["abcdefghijabcdefghij", "abcdabcdabcd"]
    assert [secret for secret in shown if secret in text] == []


def test_all_findings_come_at_once(production):
    production.SECRET_KEY = ""
    production.ALLOWED_HOSTS = []
    production.CALL_RATE = "off"

    assert findings() == ["E001", "E006", "E009"]


def test_secret_key_that_django_itself_refuses_is_a_finding(production, monkeypatch):
    from django.conf import settings

    class Refusing:
        def __getattr__(self, name):
            if name == "SECRET_KEY":
                raise ImproperlyConfigured("The SECRET_KEY setting must not be empty.")
            return getattr(settings, name)

    monkeypatch.setattr("flowlu_admin.checks.settings", Refusing())

    assert findings() == ["E001"]


def test_django_runs_the_checks(production):
    production.AUDIT_KEY = ""

    assert "flowlu_admin.E001" in {message.id for message in run_checks()}
    assert "flowlu_admin.E001" in {message.id for message in run_checks(tags=[Tags.security])}


@pytest.mark.django_db
def test_no_check_asks_the_database(production, django_assert_num_queries):
    with django_assert_num_queries(0):
        check_settings()
