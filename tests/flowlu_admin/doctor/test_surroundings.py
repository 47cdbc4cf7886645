"""What stands around the service, on real sockets: each way in which it can be wrong has its words."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from redis.exceptions import AuthenticationError, NoPermissionError

from flowlu_admin.doctor import surroundings
from flowlu_admin.doctor.findings import Finding
from tests.flowlu_admin.notices.conftest import Mailbox
from tests.installations.flowlu.conftest import RawPortal, write_certificate

HOST = "127.0.0.9"  # in the certificate


def told(found: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(each.level, each.words) for each in found]


@pytest.fixture
def production(settings: Any) -> Any:
    settings.DEBUG, settings.SECURE_HSTS_SECONDS = False, 3600
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    return settings


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    return str(write_certificate(tmp_path, "desk"))


@pytest.fixture
def front(certificate: str, production: Any) -> Iterator[RawPortal]:
    """Something that answers at the public address, over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    raw = RawPortal(context, HOST)
    production.PUBLIC_URL = f"https://{HOST}:{raw.port}"
    yield raw
    raw.close()


def date(**off: float) -> str:
    return f"Date: {format_datetime(datetime.now(UTC) + timedelta(**off), usegmt=True)}\r\n"


NOT_BELIEVED = "the service does not take requests from the proxy for encrypted ones, nor believes whom they are from"
HSTS = "Strict-Transport-Security: max-age=1\r\n"


@pytest.mark.parametrize(
    ("status", "headers", "found"),
    [
        ("200 OK", HSTS, [("ok", "the service answers through it, and believes it")]),
        ("400 Bad Request", "", [("error", "the service refuses the host of PUBLIC_URL")]),
        ("502 Bad Gateway", "", [("error", "PUBLIC_URL/healthz answers 502")]),
        ("200 OK", "", [("error", NOT_BELIEVED)]),
    ],
)
def test_proxy(front: RawPortal, certificate: str, status: str, headers: str, found: list[tuple[str, str]]) -> None:
    front.answer_json(b'{"status": "ok"}', status, headers)
    assert told(surroundings.proxy(certificate)) == found
    assert front.requests[0].startswith(b"GET /healthz HTTP/1.1\r\n")


@pytest.mark.parametrize(("off", "level"), [(1.0, "ok"), (-10.0, "warning"), (100.0, "error")])
def test_clock_of_the_proxy(front: RawPortal, certificate: str, off: float, level: str) -> None:
    front.answer_json(b"{}", headers=HSTS + date(seconds=off))
    assert told(surroundings.proxy(certificate))[-1][0] == level


def test_proxy_that_is_not_there_or_not_trusted_by_this_machine(front: RawPortal, production: Any) -> None:
    front.answer_json(b"{}")
    away = [("warning", "PUBLIC_URL gives this machine no answer that it trusts")]
    assert told(surroundings.proxy()) == away  # the certificate is nobody's
    production.PUBLIC_URL = f"https://{HOST}:1"
    assert told(surroundings.proxy()) == away
    production.PUBLIC_URL = ""
    assert told(surroundings.proxy()) == [("warning", "PUBLIC_URL is not set")]


def test_everybody_is_no_proxy(front: RawPortal, production: Any, certificate: str) -> None:
    front.answer_json(b"{}", headers=HSTS)
    production.TRUSTED_PROXIES = ["127.0.0.1", "::/0"]
    assert told(surroundings.proxy(certificate))[0] == (
        "error",
        "TRUSTED_PROXIES takes in every address: anybody may say from where they come",
    )


def test_header_that_the_proxy_is_known_by_is_there_exactly_when_it_is_believed(production: Any) -> None:
    for trusted, secure in ((["10.0.0.1"], True), (["10.0.0.2"], False), ([], False)):
        production.TRUSTED_PROXIES = trusted
        answer = Client().get("/healthz", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_PROTO="https")
        assert ("Strict-Transport-Security" in answer.headers) is secure


def test_certificate(front: RawPortal, production: Any, certificate: str) -> None:
    assert told(surroundings.certificate(certificate)) == [("warning", "ends in 0 days")]
    ((level, words),) = told(surroundings.certificate())
    assert (level, words.startswith("does not verify: ")) == ("error", True)
    production.PUBLIC_URL = f"https://{HOST}:1"
    assert told(surroundings.certificate()) == [("warning", "could not be looked at (ConnectionRefusedError)")]
    production.PUBLIC_URL = "http://127.0.0.1:8000"
    assert told(surroundings.certificate()) == [("ok", "PUBLIC_URL is no https address")]


def test_certificate_that_lasts(front: RawPortal, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_DAYS_LEFT", 0)
    assert told(surroundings.certificate(certificate)) == [("ok", "verifies, for 0 days more")]


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    box = Mailbox()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", box.port, 2
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    yield box
    box.server.shutdown()
    box.server.server_close()


def test_mail(mailbox: Mailbox, settings: Any) -> None:
    assert told(surroundings.mail()) == [("ok", "the server takes the sign-in")]
    assert mailbox.mails == []

    settings.EMAIL_USE_SSL = True
    assert told(surroundings.mail())[0][0] == "error"
    settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS = False, True
    assert told(surroundings.mail())[0][1].startswith("the server does not answer as it should (")
    settings.EMAIL_USE_TLS, settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = False, "desk", "canary"
    mailbox.answers |= {"EHLO": "250-box\r\n250 AUTH PLAIN", "AUTH": "535 canary"}
    assert told(surroundings.mail()) == [("error", "the server refuses the sign-in")]
    settings.EMAIL_PORT = 1
    assert told(surroundings.mail()) == [("error", "the server does not answer as it should (ConnectionRefusedError)")]
    settings.EMAIL_HOST = ""
    assert told(surroundings.mail()) == [("ok", "EMAIL_HOST is not set: no mail is sent")]


class StandIn:
    """A Redis that answers as a test says."""

    def __init__(self, fails: type[Exception] | None = None, off: float = 0.0) -> None:
        self.fails = fails
        self.off = off

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    def ping(self) -> None:
        if self.fails is AuthenticationError:
            raise self.fails("canary")

    def script_load(self, script: str) -> str:
        return "sha"

    def evalsha(self, sha: str, keys: int) -> None:
        if self.fails is NoPermissionError:
            raise self.fails("canary")

    def time(self) -> tuple[int, int]:
        return round(datetime.now(UTC).timestamp() + self.off), 0


@pytest.mark.parametrize(
    ("fails", "found"),
    [
        (None, ("ok", "answers, and runs scripts")),
        (NoPermissionError, ("error", "Redis refuses scripts")),
        (AuthenticationError, ("error", "Redis refuses the account of REDIS_URL")),
    ],
)
def test_redis(
    settings: Any, monkeypatch: pytest.MonkeyPatch, fails: type[Exception] | None, found: tuple[str, str]
) -> None:
    settings.SHARES_COUNTS = True
    monkeypatch.setattr(surroundings, "_redis", lambda: StandIn(fails))
    assert told(surroundings.redis()) == [found]


def test_redis_that_is_away(settings: Any) -> None:
    settings.SHARES_COUNTS = True
    settings.CACHES = {"default": {"LOCATION": "redis://:canary@127.0.0.1:1/0"}}
    assert told(surroundings.redis()) == [
        ("error", "Redis does not answer (ConnectionError): each process counts rates for itself")
    ]
    settings.SHARES_COUNTS = False
    assert told(surroundings.redis()) == [("ok", "REDIS_URL is not set: this one process counts rates by itself")]


@pytest.mark.django_db
@pytest.mark.parametrize(("off", "level"), [(0.0, "ok"), (12.0, "warning"), (-200.0, "error")])
def test_clock_of_redis(settings: Any, monkeypatch: pytest.MonkeyPatch, off: float, level: str) -> None:
    settings.SHARES_COUNTS = True
    monkeypatch.setattr(surroundings, "_redis", lambda: StandIn(off=off))
    assert told(surroundings.clock())[-1][0] == level


@pytest.mark.django_db
def test_clock_without_another_one(settings: Any) -> None:
    settings.SHARES_COUNTS = True
    settings.CACHES = {"default": {"LOCATION": "redis://127.0.0.1:1/0"}}
    assert told(surroundings.clock())[-1][0] == "ok"


class App:
    """A Celery whose broker is in memory."""

    def __init__(self, connect: Callable[..., Any], workers: int) -> None:
        self.connection_for_write = connect
        self.control = self
        self.workers = workers

    def ping(self, **_options: Any) -> list[dict[str, str]]:
        return [{"ok": "pong"}] * self.workers


@pytest.mark.parametrize(
    ("workers", "found"),
    [
        (2, ("ok", "answers; workers: 2")),
        (0, ("note", "answers; no worker does. The sweep does what is queued, later")),
    ],
)
def test_broker(settings: Any, monkeypatch: pytest.MonkeyPatch, workers: int, found: tuple[str, str]) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = False
    real = surroundings.app.connection_for_write

    def connect(**options: Any) -> Any:
        return real("memory://", **options)

    monkeypatch.setattr(surroundings, "app", App(connect, workers))
    assert told(surroundings.broker()) == [found]


def test_broker_that_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = False
    real = surroundings.app.connection_for_write
    monkeypatch.setattr(surroundings, "app", App(lambda **options: real("redis://:canary@127.0.0.1:1/0", **options), 0))
    ((level, words),) = told(surroundings.broker())
    assert (level, words.startswith("does not answer (")) == ("error", True)
    assert "canary" not in words
