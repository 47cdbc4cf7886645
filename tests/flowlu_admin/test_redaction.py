"""Redaction: no form in which a secret reaches a log line, traceback or error page leaves it there."""

import base64
import io
import json
import logging
import logging.config
import sys
import time
from copy import deepcopy

import pytest
from django.conf import settings as django_settings
from django.test import RequestFactory
from django.views.debug import technical_500_response

from flowlu_admin.redaction import REDACTED, SecretFreeExceptionReporter, SecretFreeReporterFilter, redact

SHORT = "s3cr3t"  # found by its name alone
LONG = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a"  # found by its looks alone
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3IiwibmFtZSI6IkFuYSJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"

NAMED = {
    "query-string": f"GET /api?access_token={SHORT}&page=2",
    "last-of-the-query": f"GET /api?page=2&refresh_token={SHORT}",
    "capitals": f"Access_Token={SHORT}",
    "api-key": f"api_key={SHORT}",
    "apikey": f"apikey: {SHORT}",
    "json": json.dumps({"access_token": SHORT, "page": 2}),
    "json-tight": json.dumps({"refresh_token": SHORT}, separators=(",", ":")),
    "json-in-json": json.dumps({"body": json.dumps({"access_token": SHORT})}),
    "json-in-bytes": repr(json.dumps({"session_token": SHORT}).encode()),
    "json-in-repr": repr(repr(json.dumps({"it's": 1, "access_token": SHORT}))),
    "dict": repr({"access_token": SHORT}),
    "dict-of-bytes": repr({b"access_token": SHORT.encode()}),
    "query-dict": f"<QueryDict: { ({'access_token': [SHORT]})!r}>",
    "pairs": repr([("access_token", SHORT), ("page", "2")]),
    "keyword": f"open_session(access_token={SHORT!r}, page=2)",
    "dataclass": f"Pair(access_token='{SHORT}', refresh_token=None)",
    "header": f"Authorization: Bearer {SHORT}",
    "header-basic": f"authorization: Basic {SHORT}",
    "header-session": f"X-Session-Token: {SHORT}",
    "header-dict": repr({"Authorization": f"Bearer {SHORT}", "Accept": "*/*"}),
    "header-list": repr({"X-Session-Token": [SHORT, SHORT]}),
    "escaped-quote": json.dumps({"password": f'x"{SHORT}'}),
    "url-encoded-json": f"body=%7B%22access_token%22%3A%22{SHORT}%22%7D",
    "header-pairs": repr([("X-Session-Token", SHORT)]),
    "wsgi-authorization": repr({"HTTP_AUTHORIZATION": f"Bearer {SHORT}"}),
    "wsgi-session": repr({"HTTP_X_SESSION_TOKEN": SHORT}),
    "wsgi-cookie": repr({"HTTP_COOKIE": f"operator_session={SHORT}"}),
    "cookie": f"Cookie: operator_session={SHORT}; operator_csrf={SHORT}",
    "set-cookie": f"Set-Cookie: operator_session={SHORT}; Path=/; HttpOnly",
    "bare-bearer": f"sent Bearer {SHORT} to the portal",
    "form": f"csrfmiddlewaretoken={SHORT}&login=ana&password={SHORT}",
    "prefixed": f"new_access_token={SHORT}",
    "client-secret": f"client_id=1&client_secret={SHORT}",
    "url-encoded": f"next=%2Fapi%3Faccess_token%3D{SHORT}%26page%3D2",
    "database-url": f"postgres://console:{SHORT}@db.internal/console",
    "redis-url": f"redis://:{SHORT}@cache.internal:6379/0",
    "spaces-around": f"access_token = {SHORT}",
    "two-at-once": f"access_token={SHORT} refresh_token={SHORT}",
    "multi-line": f"first line\naccess_token={SHORT}\nlast line",
}
LOOKS = {
    "alone": LONG,
    "in-a-sentence": f"Flowlu refused {LONG}, twice.",
    "quoted": f"'{LONG}'",
    "in-brackets": f"({LONG})",
    "url-safe": f"token {LONG[:20]}-_{LONG[20:]}",
    "after-a-colon": f"value:{LONG}",
    "after-equals": f"x={LONG}",
    "in-a-list": repr([LONG]),
    "jwt": f"token {JWT}",
}


@pytest.mark.parametrize("line", NAMED.values(), ids=NAMED.keys())
def test_value_beside_the_name_of_a_secret_is_gone(line):
    assert SHORT not in redact(line)
    assert REDACTED in redact(line)


@pytest.mark.parametrize("line", LOOKS.values(), ids=LOOKS.keys())
def test_value_that_looks_like_a_token_is_gone(line):
    shown = redact(line)

    pieces = [LONG[at : at + 8] for at in range(len(LONG) - 7)] + JWT.split(".")[1:]
    assert [piece for piece in pieces if piece in shown] == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"GET /api?access_token={SHORT}&page=2", f"GET /api?access_token={REDACTED}&page=2"),
        (f"Authorization: Bearer {SHORT}", f"Authorization: {REDACTED}"),
        ('{"access_token": "s3cr3t", "page": 2}', f'{{"access_token": {REDACTED}, "page": 2}}'),
        (f"postgres://console:{SHORT}@db/console", f"postgres://{REDACTED}db/console"),
        (f"Flowlu refused {LONG}.", f"Flowlu refused {REDACTED}."),
        # As Django says of a form that came from elsewhere.
        (
            "Forbidden (Referer checking failed - https://a.flowlu.com/x?code=abc&x=1 does not match.): /accounts/",
            f"Forbidden (Referer checking failed - https://a.flowlu.com/x?{REDACTED} does not match.): /accounts/",
        ),
    ],
)
def test_rest_of_the_line_stays(line, expected):
    assert redact(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "Starting gunicorn 23.0.0 on http://127.0.0.1:8000 (pid 4711)",
        "installation com.example.desk on acme.flowlu.com (generation 2): scopes approved: crm.accounts.read",
        'File "/srv/console/.venv/lib/python3.11/site-packages/django/core/handlers/exception.py", line 42',
        "GET /static/admin/css/base.0123456789abcdef0123456789abcdef01234567.css 200",
        "Token #12 does not unseal: unknown_key, key id k1",
        "token_revoked: Access was revoked.",
        "request 0a6ee9a6-6c0c-4b8a-9b43-3e1f3a3f6d11 took 20ms",
        "2026-04-01T10:15:20.123456+00:00 WARNING tokens.activity: 3 sessions",
        "fingerprint 0123abcd of the stored pair",
        "Not Found: /api/v1/flowlu/crm/account/list",
        "SELECT a FROM installations_approvedpermission WHERE withdrawn_at IS NULL",
        "installations.management.commands.withdraw_scopes_of_every_installation",
        "tests.security.test_canary.test_mail_about_an_exception_holds_no_secret_at_all",
        "a_function_with_a_name_of_more_than_forty_letters in line 42",
        "",
    ],
)
def test_ordinary_line_stays_as_it_is(line):
    assert redact(line) == line


@pytest.mark.parametrize(
    "name",
    [
        "SECRET_KEY",
        "TOKEN_KEYS",
        "FINGERPRINT_KEY",
        "AUDIT_KEY",
        "FLOWLU_CLIENT_SECRET",
        "OIDC_CLIENT_SECRET",
        "EMAIL_HOST_PASSWORD",
        "NOTICE_WEBHOOK_URL",
        "NOTICE_WEBHOOK_SECRET",
        "METRICS_TOKEN",
    ],
)
def test_configured_secret_is_gone_wherever_it_stands(settings, name):
    secret = "Plain words that look like none"
    setattr(settings, name, f"k1:{secret}" if name == "TOKEN_KEYS" else secret)

    assert redact(f"before {secret} after") == f"before {REDACTED} after"
    assert redact(f"host {secret.lower()}") == f"host {REDACTED}"  # as a host, it was made lower case


def test_configured_secret_that_begins_another_one_leaves_no_end_of_it(settings):
    settings.AUDIT_KEY, settings.OIDC_CLIENT_SECRET = "these are plain words", "these are plain words and more"

    assert redact("these are plain words and more") == REDACTED


def test_every_key_of_a_ring_is_gone(settings):
    keys = [base64.b64encode(bytes(range(start, start + 32))).decode() for start in (0, 100)]
    settings.TOKEN_KEYS = f"k2:{keys[0]},k1:{keys[1]}"

    shown = redact(f"ring {settings.TOKEN_KEYS}")

    assert [key for key in keys if key in shown or key.rstrip("=") in shown] == []


@pytest.mark.parametrize("line", [*NAMED.values(), *LOOKS.values()], ids=[*NAMED, *LOOKS])
def test_redacting_twice_is_as_once(line):
    assert redact(redact(line)) == redact(line)


@pytest.mark.parametrize(
    "line",
    [
        "a" * 200_000,
        "access_token" * 20_000,
        "access_token=" * 20_000,
        "access_token" + " " * 100_000 + "x",
        "access_token=" + '\\"' * 50_000,
        "'" * 50_000 + '"' * 50_000,
        "\\" * 100_000,
        "a-" * 100_000 + "!",
        "eyJ" * 50_000,
        "cookie" * 20_000,
        "x://" * 50_000,
        "http://" * 25_000,
        "http://a?" * 20_000,
    ],
    ids=lambda line: line[:14],
)
def test_hostile_line_is_redacted_in_reasonable_time(line):
    start = time.perf_counter()

    redact(line)

    assert time.perf_counter() - start < 20  # what grows with the square takes minutes


@pytest.fixture
def logged():
    """Log through a handler configured as the service configures it; return what was written."""
    stream = io.StringIO()
    configuration = deepcopy(django_settings.LOGGING)
    configuration["handlers"]["console"]["stream"] = stream
    configuration["loggers"] = {"redaction.test": {"handlers": ["console"], "level": "DEBUG", "propagate": False}}
    configuration.pop("root")
    configuration["incremental"] = False
    logging.config.dictConfig(configuration)
    logger = logging.getLogger("redaction.test")
    yield logger, stream
    logger.handlers.clear()
    logger.propagate = True


def test_handlers_of_the_service_redact():
    for handler in django_settings.LOGGING["handlers"].values():
        assert handler["filters"] == ["redact", "request"]
        assert handler["formatter"] == "line"


@pytest.mark.parametrize("line", NAMED.values(), ids=NAMED.keys())
def test_written_line_holds_no_secret(logged, line):
    logger, stream = logged

    logger.info(line)
    logger.info("as an argument: %s", line)

    assert stream.getvalue() != ""
    assert SHORT not in stream.getvalue()


def test_secret_split_between_message_and_argument_is_gone(logged):
    logger, stream = logged

    logger.info("access_token=%s page=%d", SHORT, 2)

    assert "page=2" in stream.getvalue()
    assert SHORT not in stream.getvalue()


def test_traceback_holds_no_secret(logged):
    logger, stream = logged

    try:
        try:
            raise ValueError(f"Bearer {SHORT}")
        except ValueError as error:
            raise RuntimeError(f"access_token={SHORT} {LONG}") from error
    except RuntimeError:
        logger.exception("The call failed with %s", LONG)

    written = stream.getvalue()
    assert "RuntimeError: access_token=[redacted] [redacted]" in written
    assert "ValueError: Bearer [redacted]" in written
    assert 'File "' in written
    assert SHORT not in written
    assert LONG not in written


def test_stack_of_a_line_is_redacted(logged):
    logger, stream = logged

    logger.warning("here", stack_info=True)

    assert "Stack (most recent call last)" in stream.getvalue()


def test_wrong_number_of_arguments_loses_neither_line_nor_process(logged):
    logger, stream = logged

    logger.info("access_token=%s %s", SHORT)

    assert "access_token=" in stream.getvalue()
    assert SHORT not in stream.getvalue()


def test_argument_that_fails_to_print_loses_no_line(logged):
    logger, stream = logged

    class Broken:
        def __str__(self):
            raise ValueError(SHORT)

    logger.info("broken %s", Broken())

    assert "broken %s" in stream.getvalue()
    assert SHORT not in stream.getvalue()


def test_request_of_a_record_is_taken_away(logged):
    logger, _stream = logged
    seen = []

    class Keeping(logging.Handler):
        def emit(self, record):
            seen.append(record)

    keeping = Keeping()
    keeping.addFilter(logger.handlers[0].filters[0])
    logger.addHandler(keeping)

    logger.error("failed", extra={"request": RequestFactory().get("/", {"access_token": SHORT})})

    assert "request" not in vars(seen[0])


@pytest.fixture
def failing_request():
    factory = RequestFactory(HTTP_AUTHORIZATION=f"Bearer {SHORT}", HTTP_X_SESSION_TOKEN=SHORT, HTTP_REFERER=LONG)
    factory.cookies["operator_session"] = SHORT
    fields = {"-".join(("posted", "field")): SHORT, "file": io.BytesIO(b"x")}
    return factory.post(f"/api/v1/session?access_token={SHORT}", fields)


def raised():
    a_local_variable = "".join(("s3c", "r3t"))
    try:
        raise LookupError("Bearer " + a_local_variable)
    except LookupError:
        return sys.exc_info()


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_debug_page_shows_no_variable_body_cookie_header_or_query(settings, failing_request, debug, accept):
    settings.DEBUG = debug
    failing_request.META["HTTP_ACCEPT"] = accept

    page = technical_500_response(failing_request, *raised()).content.decode()

    assert "LookupError" in page
    assert "raised" in page
    assert SHORT not in page
    assert LONG not in page
    assert "posted-field" not in page
    assert 'table class="vars"' not in page.partition("Request information")[0]


def test_debug_page_shows_no_setting_that_is_secret(settings, failing_request):
    page = technical_500_response(failing_request, *raised()).content.decode()

    for name in ("SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY"):
        assert getattr(settings, name) not in page


def test_password_inside_an_address_in_a_setting_is_gone_from_the_page(settings, failing_request):
    settings.CACHES = {"default": {"BACKEND": "x", "LOCATION": f"redis://:{SHORT}@cache.internal:6379"}}

    page = technical_500_response(failing_request, *raised()).content.decode()

    assert "cache.internal" in page
    assert SHORT not in page


def test_debug_page_of_the_service_is_the_secret_free_one(settings):
    assert settings.DEFAULT_EXCEPTION_REPORTER == "flowlu_admin.redaction.SecretFreeExceptionReporter"
    assert settings.DEFAULT_EXCEPTION_REPORTER_FILTER == "flowlu_admin.redaction.SecretFreeReporterFilter"


def test_chained_exceptions_are_redacted_on_the_page(failing_request):
    try:
        try:
            raise ValueError("access_token=" + "s3c" + "r3t")
        except ValueError as error:
            error.add_note("Bearer " + "s3c" + "r3t")
            raise RuntimeError("failed") from error
    except RuntimeError:
        reporter = SecretFreeExceptionReporter(failing_request, *sys.exc_info())

    assert SHORT not in reporter.get_traceback_html()
    assert SHORT not in reporter.get_traceback_text()


def test_report_without_a_request_works(settings):
    text = SecretFreeExceptionReporter(None, *raised()).get_traceback_text()

    assert "LookupError at" not in text
    assert "Bearer [redacted]" in text


def test_error_pages_are_filtered_with_debug_too(settings):
    settings.DEBUG = True

    assert SecretFreeReporterFilter().is_active(None) is True


@pytest.mark.parametrize("text", ["key {}", "/x/{}/y", "a={}", "'{}'", "{}"])
def test_service_key_is_redacted_by_its_prefix_without_a_digit_in_it(text: str) -> None:
    key = "fls_" + "abcdefghij-KLMNOPQRST_" * 2
    assert key not in redact(text.format(key))
    assert "fls_" not in redact(text.format(key))


@pytest.mark.parametrize("text", ["token {}", "/x/{}/y", "/x/{}", "a={}", "'{}'", "{}"])
@pytest.mark.parametrize(
    "token", ["IeIlmPaSeiAZnhGUIxGgyGpGBUqIzdYzBqTEhwLhZvQ", "abcdefghijklmnopqrst-uvwxyz_abcdefghijklmnO"]
)
def test_token_without_a_digit_is_redacted(text: str, token: str) -> None:
    assert redact(text.format(token)) == text.format(REDACTED)


@pytest.mark.parametrize(
    "token", ["0123456789" * 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_ABCDEFGHIJKLMNOPQR", "a" * 60, "CONSOLE-" * 8]
)
def test_long_word_of_one_kind_of_character_stays(token: str) -> None:
    assert redact(f"line {token}") == f"line {token}"


@pytest.mark.parametrize(
    "text", ["/x/{}.json", "./{}.txt", "x.{}", "User.{}", "a/b.{}", "/x/.{}", "token...{}", "/x/{}._"]
)
def test_token_beside_a_dot_is_redacted(text: str) -> None:
    token = "IeIlmPaSeiAZnhGUIxGgyGpGBUqIzdYzBqTEhwLhZvQ"
    assert redact(text.format(token)) == text.format(REDACTED)


def test_many_beginnings_of_a_web_token_take_no_time_that_grows_with_their_square() -> None:
    assert redact("eyJaaaaa-" * 50_000) == REDACTED
