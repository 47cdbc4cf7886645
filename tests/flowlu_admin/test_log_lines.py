"""Every line of the log names its request and installation, as text and as JSON, and neither holds a secret."""

import io
import json
import logging
import re
from copy import deepcopy

import pytest
from django.conf import settings as django_settings
from django.test import Client

from installations import request_ids
from tokens.api import errors as api_errors

SECRET = "k3y-of-somebody-that-is-long-enough-to-look-like-one-4242"


@pytest.fixture(params=["line", "json"])
def written(request):
    """Log as the service does; return its logger and what was written, a line each."""
    stream = io.StringIO()
    configuration = deepcopy(django_settings.LOGGING)
    configuration["handlers"]["console"] |= {"stream": stream, "formatter": request.param}
    configuration["loggers"] = {"lines.test": {"handlers": ["console"], "level": "DEBUG", "propagate": False}}
    configuration.pop("root")
    logging.config.dictConfig(configuration)
    logger = logging.getLogger("lines.test")
    yield request.param, logger, lambda: stream.getvalue().splitlines()
    logger.handlers.clear()
    logger.propagate = True
    request_ids.end()


def test_line_of_a_request_names_it(written):
    form, logger, lines = written
    request_id = request_ids.begin()
    logger.info("first")
    request_ids.note_installation(7)
    logger.info("second")
    request_ids.end()
    logger.info("third")

    if form == "json":
        told = [json.loads(line) for line in lines()]
        assert [one["message"] for one in told] == ["first", "second", "third"]
        assert [one.get("request_id") for one in told] == [request_id, request_id, None]
        assert [one.get("installation_id") for one in told] == [None, 7, None]
        assert {(one["level"], one["logger"]) for one in told} == {("INFO", "lines.test")}
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", one["at"]) for one in told)
    else:
        ends = [line.partition("lines.test ")[2] for line in lines()]
        assert ends == [f"[{request_id} -]: first", f"[{request_id} 7]: second", "[- -]: third"]


def test_no_part_of_a_line_holds_a_secret(written):
    form, logger, lines = written
    try:
        raise RuntimeError(f'{{"access_token": "{SECRET}"}}')
    except RuntimeError:
        logger.exception('Failed with "access_token": "%s" and more', SECRET, stack_info=True)

    text = "\n".join(lines())
    assert SECRET not in text
    assert "[redacted]" in text
    if form == "json":
        (line,) = lines()
        told = json.loads(line)
        assert "RuntimeError" in told["traceback"]
        assert "Stack (most recent call last)" in told["stack"]
        assert told["message"].startswith("Failed with")


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_text_of_an_exception_forges_no_line(written, line_break):
    form, logger, lines = written
    forged = "2026-01-01 00:00:00,000 INFO tokens [- -]: forged"
    try:
        raise ValueError(f"unknown{line_break}{forged}\x1b[31m")
    except ValueError:
        logger.exception("failed", stack_info=True)

    first, *others = lines()
    assert (len(others) > 2) is (form == "line")
    assert not [line for line in others if not line.startswith("    ")]
    assert "\x1b" not in "".join(lines())
    assert "forged" in "".join(lines())
    if form == "json":
        told = json.loads(first)
        assert not [line for line in told["traceback"].splitlines() if not line.startswith("    ")]


def test_line_break_forges_no_line(written):
    _form, logger, lines = written

    logger.info("one\nINFO forged\x1b[31m")

    assert len(lines()) == 1
    assert "\x1b" not in lines()[0]


@pytest.mark.django_db
def test_error_body_and_header_name_the_request(client):
    first, second = client.get("/api/v1/session"), client.get("/api/nothing")

    for response in (first, second):
        assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])
        assert response.json()["request_id"] == response.headers["X-Request-ID"]
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert request_ids.current() == ""  # nothing is left with the thread


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/healthz", "/admin/", "/accounts/login/", "/embed/", "/nothing"])
def test_every_answer_names_its_request(client, path):
    assert re.fullmatch(r"[0-9a-f]{32}", client.get(path).headers["X-Request-ID"])


@pytest.mark.parametrize(("trusted", "taken"), [([], False), (["10.0.0.1"], False), (["127.0.0.1"], True)])
def test_id_is_taken_from_a_trusted_proxy_only(client, settings, trusted, taken):
    settings.TRUSTED_PROXIES = trusted
    given = "c1a1" * 8

    assert (client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given) is taken


@pytest.mark.parametrize("path", ["/api/v1/session", "/service/v1/flowlu/crm/account/list", "/healthz"])
def test_failure_outside_of_every_view_names_its_request(settings, path):
    settings.DEBUG = False  # else Django shows its own page of errors
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.flowlu_admin.test_log_lines.failing"]

    response = Client(raise_request_exception=False).get(path)

    request_id = response.headers["X-Request-ID"]
    assert response.status_code == 500
    if path == "/healthz":
        assert f"500 · request {request_id}" in response.content.decode()
    else:
        assert (response.json()["error"], response.json()["request_id"]) == ("server_error", request_id)


def failing(_get_response):
    def fail(_request):
        raise ZeroDivisionError

    return fail


@pytest.mark.django_db
def test_failure_is_logged_under_the_id_that_its_caller_is_told(monkeypatch, caplog):
    def fail(*_args):
        raise ZeroDivisionError

    ids = []
    monkeypatch.setattr("tokens.api.authentication.selectors.caller_of", fail)
    monkeypatch.setattr(api_errors.logger, "error", lambda *_args, **_more: ids.append(request_ids.current()))

    response = Client().get("/api/v1/session", headers={"X-Session-Token": "any"})

    assert (response.status_code, response.json()["error"]) == (500, "server_error")
    assert ids == [response.json()["request_id"]]
