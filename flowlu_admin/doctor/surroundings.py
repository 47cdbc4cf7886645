"""What stands around the service: Redis, the broker, the mail server, the proxy with its certificate, the clocks.

Of what goes wrong only the kind is told: texts of errors hold addresses, and those may hold passwords.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from smtplib import SMTPAuthenticationError, SMTPException
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import get_connection
from django.db import connection
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry
from urllib3.exceptions import HTTPError

from flowlu_admin.celery import app
from flowlu_admin.doctor.findings import Finding, Level
from flowlu_admin.network import parse_networks
from installations.flowlu.client import USER_AGENT
from installations.flowlu.pool import CallClock, Guard, GuardedPoolManager, call_clock, system_resolver

_SECONDS: Final = 5.0
_WARN_OFF, _MOST_OFF = 5.0, 30.0  # seconds; a code of an authenticator app lives for 30
_DAYS_LEFT: Final = 14
_CLOCK_FIX: Final = "have both machines synchronise their clocks (NTP)"


def redis() -> Iterator[Finding]:
    """Ask Redis for what counting rates needs."""
    if not settings.SHARES_COUNTS:
        yield Finding(Level.OK, "REDIS_URL is not set: this one process counts rates by itself")
        return
    try:
        with _redis() as client:
            client.ping()
            client.evalsha(client.script_load("return 1"), 0)
    except NoPermissionError:
        yield Finding(Level.ERROR, "Redis refuses scripts", "allow the account of REDIS_URL EVALSHA and SCRIPT LOAD")
    except AuthenticationError:
        yield Finding(Level.ERROR, "Redis refuses the account of REDIS_URL", "correct its user and password")
    except RedisError as error:
        yield Finding(
            Level.ERROR,
            f"Redis does not answer ({type(error).__name__}): each process counts rates for itself",
            "start Redis, or correct REDIS_URL",
        )
    else:
        yield Finding(Level.OK, "answers, and runs scripts")


def _redis() -> Redis:
    return Redis.from_url(
        settings.CACHES["default"]["LOCATION"],
        socket_connect_timeout=_SECONDS,
        socket_timeout=_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def broker() -> Iterator[Finding]:
    """Ask the broker, and the workers through it."""
    if settings.CELERY_TASK_ALWAYS_EAGER:
        yield Finding(Level.OK, "none is set: tasks run in the process that asks")
        return
    try:
        with app.connection_for_write(connect_timeout=_SECONDS) as asked:
            asked.ensure_connection(max_retries=1, interval_start=0, timeout=round(_SECONDS))
            workers = len(app.control.ping(timeout=1.0, connection=asked) or ())
    except (OperationalError, OSError, RedisError) as error:
        yield Finding(
            Level.ERROR,
            f"does not answer ({type(error).__name__}): tasks are not queued",
            "start it, or correct CELERY_BROKER_URL or REDIS_URL",
        )
        return
    if workers:
        yield Finding(Level.OK, f"answers; workers: {workers}")
    else:
        yield Finding(
            Level.NOTE,
            "answers; no worker does. The sweep does what is queued, later",
            "start one where things are to be done at once: celery -A flowlu_admin.celery worker",
        )


def mail() -> Iterator[Finding]:
    """Sign in at the mail server, and send nothing."""
    if not settings.EMAIL_HOST:
        yield Finding(Level.OK, "EMAIL_HOST is not set: no mail is sent")
        return
    try:
        with get_connection():
            yield Finding(Level.OK, "the server takes the sign-in")
    except SMTPAuthenticationError:
        yield Finding(Level.ERROR, "the server refuses the sign-in", "correct EMAIL_HOST_USER and EMAIL_HOST_PASSWORD")
    except ssl.SSLError as error:
        yield Finding(
            Level.ERROR,
            f"no TLS with the server ({type(error).__name__})",
            "EMAIL_HOST must be the name in its certificate; EMAIL_USE_TLS and EMAIL_USE_SSL are for different ports",
        )
    except (SMTPException, OSError) as error:
        yield Finding(
            Level.ERROR,
            f"the server does not answer as it should ({type(error).__name__})",
            "correct EMAIL_HOST, EMAIL_PORT, EMAIL_USE_TLS or EMAIL_USE_SSL",
        )


def proxy(ca_file: str | None = None) -> Iterator[Finding]:
    """Ask the service by its public address, as a browser does, and see what the proxy in front of it tells it."""
    if not settings.PUBLIC_URL:
        yield Finding(Level.WARNING, "PUBLIC_URL is not set", "set it: behind a proxy nobody can sign in without it")
        return
    if any(not network.prefixlen for network in parse_networks(tuple(settings.TRUSTED_PROXIES))):
        yield Finding(
            Level.ERROR,
            "TRUSTED_PROXIES takes in every address: anybody may say from where they come",
            "name the proxy alone",
        )
    if settings.DEBUG:
        yield Finding(Level.OK, "with DEBUG there need be none")
        return
    seen = _look_at(f"{settings.PUBLIC_URL}/healthz", ca_file)
    if seen is None:
        yield Finding(
            Level.WARNING,
            "PUBLIC_URL gives this machine no answer that it trusts",
            "start service and proxy, see the certificate; if it answers elsewhere, a network keeps it away",
        )
    elif seen.status == 400:
        yield Finding(Level.ERROR, "the service refuses the host of PUBLIC_URL", "add it to ALLOWED_HOSTS")
    elif seen.status != 200:
        yield Finding(
            Level.ERROR, f"PUBLIC_URL/healthz answers {seen.status}", "have the proxy pass it on to the service"
        )
    elif "strict-transport-security" not in seen.headers:
        # It stands on every answer to a request that the service takes for an encrypted one.
        yield Finding(
            Level.ERROR,
            "the service does not take requests from the proxy for encrypted ones, nor believes whom they are from",
            "name the proxy in TRUSTED_PROXIES, and have it set X-Forwarded-Proto and X-Forwarded-For",
        )
    else:
        yield Finding(Level.OK, "the service answers through it, and believes it")
        yield from off_by("the proxy", seen.at)


def certificate(ca_file: str | None = None) -> Iterator[Finding]:
    """Look at the certificate of the public address."""
    address = urlsplit(settings.PUBLIC_URL)
    if address.scheme != "https" or not address.hostname:
        yield Finding(Level.OK, "PUBLIC_URL is no https address")
        return
    context = ssl.create_default_context(cafile=ca_file)
    try:
        with (
            socket.create_connection((address.hostname, address.port or 443), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address.hostname) as encrypted,
        ):
            ends = str((encrypted.getpeercert() or {}).get("notAfter", ""))
    except ssl.SSLCertVerificationError as error:
        yield Finding(
            Level.ERROR,
            f"does not verify: {error.verify_message}",
            "renew it, for the name in PUBLIC_URL, with its chain",
        )
        return
    except OSError as error:
        yield Finding(Level.WARNING, f"could not be looked at ({type(error).__name__})", "see the check of the proxy")
        return
    days = int((ssl.cert_time_to_seconds(ends) - time.time()) / 86400)
    if days < _DAYS_LEFT:
        yield Finding(Level.WARNING, f"ends in {days} days", "renew it, and see why that was not done by itself")
    else:
        yield Finding(Level.OK, f"verifies, for {days} days more")


def clock() -> Iterator[Finding]:
    """Compare this machine's clock with those of the database and of Redis."""
    asked = False
    if connection.vendor == "postgresql":
        asked = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            yield from off_by("the database", cursor.fetchone()[0])
    if settings.SHARES_COUNTS:
        try:
            with _redis() as client:
                seconds, micros = client.time()
        except RedisError:
            pass  # the check of Redis says so
        else:
            asked = True
            yield from off_by("Redis", datetime.fromtimestamp(seconds + micros / 1e6, UTC))
    if not asked:
        yield Finding(Level.OK, "there is no other clock to compare with")


def off_by(whose: str, at: datetime | None) -> Iterator[Finding]:
    """Judge another clock by what it says now."""
    if at is None:
        return
    seconds = abs((at - datetime.now(UTC)).total_seconds())
    if seconds < _WARN_OFF:
        yield Finding(Level.OK, f"this machine's clock agrees with that of {whose}")
    else:
        level = Level.ERROR if seconds > _MOST_OFF else Level.WARNING
        yield Finding(level, f"this machine's clock is {seconds:.0f} seconds off that of {whose}", _CLOCK_FIX)


@dataclass(frozen=True, slots=True)
class _Seen:
    status: int
    headers: Mapping[str, str]  # by their names in lower case

    @property
    def at(self) -> datetime | None:
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).astimezone(UTC)
        except (ValueError, OverflowError):
            return None


def _look_at(url: str, ca_file: str | None) -> _Seen | None:
    """Ask for a page of our own and return status and headers; None where nothing came."""
    clock = call_clock.set(CallClock(deadline=time.monotonic() + 2 * _SECONDS, step=_SECONDS))
    guard = Guard(allow_private=True, connect_timeout=_SECONDS, resolve=system_resolver)
    try:
        response = GuardedPoolManager(guard, ca_file=ca_file).urlopen(
            "GET",
            url,
            headers={"User-Agent": USER_AGENT, "Connection": "close"},
            redirect=False,
            retries=False,
            preload_content=False,
        )
        response.close()
    except (HTTPError, HTTPException, OSError):
        return None
    finally:
        call_clock.reset(clock)
    return _Seen(response.status, {name.lower(): value for name, value in response.headers.items()})
