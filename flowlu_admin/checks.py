"""System checks: without DEBUG, a missing, weak or shared secret or an unsafe setting stops the start.

None of them queries the database or the network.
"""

from collections.abc import Iterator
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from flowlu_admin.network import parse_networks
from flowlu_admin.restoring.server import NoAddress, parameters
from installations.flowlu.posting import is_post_address
from installations.flowlu.wire import (
    ERROR_CODES,
    RETRY_HEADER,
    TOKEN_HEADER,
    fault_of_token_header,
    is_header_name,
    read_error_codes,
)
from installations.keys import KeyRingError, parse_key_ring
from tokens.rates import parse_rate

_RINGS = ("TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY")
MAX_TOTAL_SECONDS = 35  # graceful_timeout in deploy/gunicorn.conf.py
_LEAST_DAYS_OF_ATTEMPTS = 92  # the charts' 90, and the days on which they begin and end
_MOST_DAYS = 3660  # ten years: beyond it nobody reviews anything
_SHORTEST_SECRET = 32
_WIRE = "flowlu_admin.E026"
_HOW = "Make one with: manage.py generate_key"
_DEBUG = "For a first look set DEBUG=1: it is then made and kept in var/."
_MEND = (
    "Keep the present keys: a ring is id:key,id:key. A key that stood alone has the id 1: write it as 1:<that key> "
    "beside a new one from manage.py generate_key (docs/operations.md)."
)


def check_settings(app_configs: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """Return every finding at once, so that one start tells all there is to mend."""
    return [
        *_secrets(),
        *_addresses(),
        *_cookies(),
        *_limits(),
        *_wire(),
        *_liveness(),
        *_reviews(),
        *_processes(),
        *_drill(),
        *_static_files(),
        *_oauth_client(),
        *_openid_provider(),
        *_mail(),
        *_notices(),
        *_metrics(),
    ]


def _secret_key() -> str:
    try:
        return settings.SECRET_KEY
    except ImproperlyConfigured:
        return ""


def _secrets() -> Iterator[CheckMessage]:
    secret_key = _secret_key()
    if not secret_key:
        yield Error(
            "SECRET_KEY is not set.",
            hint=f"Set SECRET_KEY or SECRET_KEY_FILE. Use at least 50 random characters. {_DEBUG}",
            id="flowlu_admin.E001",
        )
    elif len(secret_key) < 50 or len(set(secret_key)) < 5 or secret_key.startswith("django-insecure-"):
        yield Error("SECRET_KEY is weak.", hint="Use at least 50 random characters.", id="flowlu_admin.E002")
    materials: dict[bytes, str] = {}
    for name in _RINGS:
        text = getattr(settings, name)
        if not text:
            yield Error(
                f"{name} is not set.", hint=f"Set {name} or {name}_FILE. {_HOW}. {_DEBUG}", id="flowlu_admin.E001"
            )
            continue
        try:
            ring = parse_key_ring(text)
        except KeyRingError as error:
            yield Error(f"{name} is not usable. {error}", hint=_MEND, id="flowlu_admin.E003")
            continue
        for key in ring:
            other = materials.setdefault(key.material, name)
            if other != name:
                yield Error(f"{name} and {other} share a key.", hint=_HOW, id="flowlu_admin.E004")
        encoded = [part.partition(":")[2] or part for part in text.split(",")]
        if secret_key and any(part.strip() and part.strip() in secret_key for part in encoded):
            yield Error(f"{name} and SECRET_KEY share a key.", hint=_HOW, id="flowlu_admin.E004")


def _addresses() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        public = [host for host in settings.ALLOWED_HOSTS if not _is_local(host)]
        if public:
            yield Error(
                f"DEBUG is on while the service answers to {', '.join(public)}.",
                hint="Switch DEBUG off, or list only names of this machine in ALLOWED_HOSTS.",
                id="flowlu_admin.E005",
            )
        return
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS must name the hosts that the service answers to.",
            hint="For example ALLOWED_HOSTS=console.example.com",
            id="flowlu_admin.E006",
        )
    for name in (
        "PUBLIC_URL",
        "FLOWLU_PORTAL_URL",
        "FLOWLU_SDK_URL",
        "AUDIT_ANCHOR_URL",
        "FLOWLU_TOKEN_URL",
        "FLOWLU_REVOCATION_URL",
        "OIDC_ISSUER",
    ):
        value = getattr(settings, name)
        if value and urlsplit(value).scheme != "https":
            yield Error(
                f"{name} must be an https address.",
                hint="Plain http is taken only with DEBUG=1.",
                id="flowlu_admin.E007",
            )


def _cookies() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        return
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY"):
        if not getattr(settings, name):
            yield Error(
                f"{name} is off.",
                hint="An operator's cookie may only travel over TLS.",
                id="flowlu_admin.E008",
            )


def _processes() -> Iterator[CheckMessage]:
    if settings.WEB_CONCURRENCY > 1 and not settings.SHARES_COUNTS and not settings.DEBUG:
        yield Error(
            f"WEB_CONCURRENCY is {settings.WEB_CONCURRENCY}, and REDIS_URL is not set.",
            hint="Each process would count rates by itself, and take a code of a second factor that another one took.",
            id="flowlu_admin.E017",
        )


def _drill() -> Iterator[CheckMessage]:
    try:
        if settings.DRILL_DATABASE_URL:
            parameters(settings.DRILL_DATABASE_URL)
    except NoAddress as error:
        yield Error(
            f"DRILL_DATABASE_URL {error}.",
            hint="For example postgres://name:password@db.example.com/postgres",
            id="flowlu_admin.E028",
        )


def _static_files() -> Iterator[CheckMessage]:
    if settings.STATIC_ROOT and not (Path(settings.STATIC_ROOT) / "staticfiles.json").is_file():
        yield Error(
            f"STATIC_ROOT is {str(settings.STATIC_ROOT)!r}, where no collectstatic has been.",
            hint="Run manage.py collectstatic with the same STATIC_ROOT, or leave it unset.",
            id="flowlu_admin.E025",
        )


def _limits() -> Iterator[CheckMessage]:
    for name in ("HANDSHAKE_RATE", "CALL_RATE", "LEAKED_RATE", "SERVICE_RATE", "NOTICE_TEST_RATE"):
        try:
            parse_rate(getattr(settings, name))
        except ValueError as error:
            yield Error(f"{name}: {error}", hint=f"For example {name}=120/m, or 0 for off.", id="flowlu_admin.E009")
    try:
        parse_networks(tuple(settings.TRUSTED_PROXIES))
    except ValueError as error:
        yield Error(f"TRUSTED_PROXIES: {error}", id="flowlu_admin.E010")
    for suffix in settings.FLOWLU_PORTAL_SUFFIXES:
        if not suffix.startswith(".") or suffix.count(".") < 2 or suffix != suffix.lower() or not suffix.isascii():
            yield Error(
                f"FLOWLU_PORTAL_SUFFIXES: {suffix!r} must start with a dot and name a whole domain, like .flowlu.com.",
                id="flowlu_admin.E011",
            )
    if not settings.FLOWLU_CONNECT_SECONDS <= settings.FLOWLU_TOTAL_SECONDS <= MAX_TOTAL_SECONDS:
        yield Error(
            f"FLOWLU_TOTAL_SECONDS must be at least FLOWLU_CONNECT_SECONDS and at most {MAX_TOTAL_SECONDS}.",
            hint="gunicorn waits that long for calls under way when it stops.",
            id="flowlu_admin.E013",
        )
    if settings.EMBED_SESSION_IDLE > settings.EMBED_SESSION_MAX:
        yield Error("EMBED_SESSION_IDLE is longer than EMBED_SESSION_MAX.", id="flowlu_admin.E012")


def _wire() -> Iterator[CheckMessage]:
    """Look at the open points of Flowlu's wire: a header that carries the token, codes that mean something, a zone."""
    if fault := fault_of_token_header(settings.FLOWLU_TOKEN_HEADER):
        yield Error(f"FLOWLU_TOKEN_HEADER {fault}.", hint=f"For example FLOWLU_TOKEN_HEADER={TOKEN_HEADER}", id=_WIRE)
    if not is_header_name(settings.FLOWLU_RETRY_HEADER):
        yield Error("FLOWLU_RETRY_HEADER must be the name of a header.", hint=f"For example {RETRY_HEADER}", id=_WIRE)
    try:
        read_error_codes(settings.FLOWLU_ERROR_CODES)
    except ValueError as error:
        yield Error(f"FLOWLU_ERROR_CODES: {error}.", hint=f"For example {ERROR_CODES}", id=_WIRE)
    if settings.FLOWLU_EXPIRY_ZONE not in available_timezones():
        yield Error(
            f"FLOWLU_EXPIRY_ZONE: there is no time zone {settings.FLOWLU_EXPIRY_ZONE!r}.",
            hint="For example UTC or Europe/Berlin",
            id=_WIRE,
        )


def _liveness() -> Iterator[CheckMessage]:
    for shorter, longer in (
        ("LIVENESS_QUIET_DAYS", "LIVENESS_SUSPECT_DAYS"),
        ("LIVENESS_PROBE_DAYS", "LIVENESS_PROBE_MAX_DAYS"),
    ):
        if getattr(settings, shorter) > getattr(settings, longer):
            yield Error(f"{shorter} is longer than {longer}.", id="flowlu_admin.E020")
    if 24 % settings.LIVENESS_EVIDENCE_HOURS:
        yield Error(
            "LIVENESS_EVIDENCE_HOURS must divide a day: 1, 2, 3, 4, 6, 8, 12 or 24.",
            hint="One row of evidence would else stand for hours of two days.",
            id="flowlu_admin.E020",
        )


def _reviews() -> Iterator[CheckMessage]:
    """Look at the days of reviews: fewer where the risk is higher, and use is kept for as long as it is asked for."""
    for name in ("REVIEW_DAYS", "UNUSED_DAYS"):
        low, medium, high = (getattr(settings, name)[risk] for risk in ("low", "medium", "high"))
        if not high <= medium <= low <= _MOST_DAYS:
            yield Error(
                f"{name}_HIGH must be at most {name}_MEDIUM, that at most {name}_LOW, and that at most {_MOST_DAYS}.",
                hint="What is of higher risk is looked at sooner.",
                id="flowlu_admin.E018",
            )
    kept, asked = settings.SCOPE_USAGE_DAYS, max(settings.UNUSED_DAYS.values())
    if kept and kept <= asked:
        yield Error(
            f"SCOPE_USAGE_DAYS is {kept}, and UNUSED_DAYS asks for the use of {asked} days.",
            hint="Nothing could be proposed: nobody could say that a scope was not used for so long.",
            id="flowlu_admin.E019",
        )


def _oauth_client() -> Iterator[CheckMessage]:
    """Look at the client of the token and revocation endpoints: whole or not at all, and with a secret of its own."""
    client = (settings.FLOWLU_CLIENT_ID, settings.FLOWLU_CLIENT_SECRET)
    urls = (settings.FLOWLU_TOKEN_URL, settings.FLOWLU_REVOCATION_URL)
    if any((*client, *urls)) and not (all(client) and any(urls)):
        yield Error(
            "FLOWLU_TOKEN_URL or FLOWLU_REVOCATION_URL, FLOWLU_CLIENT_ID and FLOWLU_CLIENT_SECRET belong together.",
            hint="Set all of them to refresh or revoke at Flowlu, or none.",
            id="flowlu_admin.E014",
        )
    for name in ("FLOWLU_TOKEN_URL", "FLOWLU_REVOCATION_URL"):
        address = urlsplit(getattr(settings, name).replace("{portal}", "portal"))
        if address.username or address.password or address.fragment or (getattr(settings, name) and not address.netloc):
            yield Error(f"{name} must be an address without user information or fragment.", id="flowlu_admin.E015")
    secret = settings.FLOWLU_CLIENT_SECRET
    others = [_secret_key(), *(getattr(settings, name) for name in _RINGS)]
    if secret and any(secret in other or other in secret for other in others if other):
        yield Error(
            "FLOWLU_CLIENT_SECRET is also one of the service's own secrets.",
            hint="It is Flowlu's to know, so it must be used for nothing else.",
            id="flowlu_admin.E016",
        )
    if 0 < settings.REFRESH_ATTEMPT_DAYS < _LEAST_DAYS_OF_ATTEMPTS:
        yield Error(
            f"REFRESH_ATTEMPT_DAYS must be 0, which keeps all, or at least {_LEAST_DAYS_OF_ATTEMPTS}.",
            hint="Attempts say which refresh tokens are spent, and the charts of 90 days count them.",
            id="flowlu_admin.E024",
        )
    if not settings.OAUTH_TOTAL_SECONDS <= MAX_TOTAL_SECONDS:
        yield Error(f"OAUTH_TOTAL_SECONDS must be at most {MAX_TOTAL_SECONDS}.", id="flowlu_admin.E013")


def _openid_provider() -> Iterator[CheckMessage]:
    """Look at the company's provider: whole or not at all, under one exact name, and with a secret of its own."""
    client = (settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)
    if any(client) and not (all(client) and settings.PUBLIC_URL):
        yield Error(
            "OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET and PUBLIC_URL belong together.",
            hint="Set all of them to let operators sign in with a company account, or none of the first three.",
            id="flowlu_admin.E023",
        )
    issuer = settings.OIDC_ISSUER
    if issuer and (not is_post_address(issuer, allow_http=True) or set("?#") & set(issuer) or len(issuer) > 255):
        yield Error(
            "OIDC_ISSUER must be an address without user information, query or fragment, as the provider writes it.",
            hint="It is the `issuer` that its page /.well-known/openid-configuration names, letter by letter.",
            id="flowlu_admin.E023",
        )
    secret = settings.OIDC_CLIENT_SECRET
    others = [
        _secret_key(),
        settings.FLOWLU_CLIENT_SECRET,
        settings.NOTICE_WEBHOOK_SECRET,
        *(getattr(settings, name) for name in _RINGS),
    ]
    if secret and any(secret in other or other in secret for other in others if other):
        yield Error(
            "OIDC_CLIENT_SECRET is also another secret of the service.",
            hint="The provider knows it, so it must be used for nothing else.",
            id="flowlu_admin.E023",
        )
    if settings.OIDC_CREATE_OPERATORS and not settings.OIDC_GROUP_MAP:
        yield Error(
            "OIDC_CREATE_OPERATORS is on, and OIDC_GROUP_MAP names no group.",
            hint="Nobody new could come in: an operator is made of who is in a mapped group.",
            id="flowlu_admin.E023",
        )
    if settings.OIDC_TOTAL_SECONDS > MAX_TOTAL_SECONDS:
        yield Error(f"OIDC_TOTAL_SECONDS must be at most {MAX_TOTAL_SECONDS}.", id="flowlu_admin.E013")


def _mail() -> Iterator[CheckMessage]:
    """Look at the mail server: what is sent to it opens accounts, so that nobody may read it on the way."""
    if not settings.EMAIL_HOST:
        return
    try:
        validate_email(parseaddr(settings.DEFAULT_FROM_EMAIL)[1])
    except ValidationError:
        yield Error(
            "DEFAULT_FROM_EMAIL is no mail address.",
            hint="For example DEFAULT_FROM_EMAIL=Console <console@example.com>",
            id="flowlu_admin.E021",
        )
    if settings.EMAIL_USE_TLS and settings.EMAIL_USE_SSL:
        yield Error(
            "EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other.",
            hint="TLS begins with STARTTLS, as on port 587; SSL at once, as on port 465.",
            id="flowlu_admin.E021",
        )
    encrypted = settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL
    if not (encrypted or settings.DEBUG or _is_local(settings.EMAIL_HOST)):
        yield Error(
            "EMAIL_HOST is another machine, and neither EMAIL_USE_TLS nor EMAIL_USE_SSL is on.",
            hint="Mail that opens an account may only travel over TLS.",
            id="flowlu_admin.E021",
        )


def _notices() -> Iterator[CheckMessage]:
    """Look at how operators are told: somehow, over https, under a key of its own."""
    if not (settings.EMAIL_HOST or settings.NOTICE_WEBHOOK_URL or settings.DEBUG):
        yield Warning(
            "Neither EMAIL_HOST nor NOTICE_WEBHOOK_URL is set: nobody is told when something waits or goes wrong.",
            hint="Set one of them (docs/settings.md).",
            id="flowlu_admin.W001",
        )
    urls = [part.strip() for part in settings.NOTICE_WEBHOOK_URL.split(",") if part.strip()]
    if not all(is_post_address(url, allow_http=settings.DEBUG) for url in urls):
        yield Error(
            "NOTICE_WEBHOOK_URL must be https addresses without a user name, with commas between them.",
            hint="Plain http is taken only with DEBUG=1.",
            id="flowlu_admin.E022",
        )
    secret = settings.NOTICE_WEBHOOK_SECRET
    if urls and len(secret) < _SHORTEST_SECRET:
        yield Error(
            f"NOTICE_WEBHOOK_SECRET must be at least {_SHORTEST_SECRET} characters.", hint=_HOW, id="flowlu_admin.E022"
        )
    others = [_secret_key(), settings.FLOWLU_CLIENT_SECRET, *(getattr(settings, name) for name in _RINGS)]
    if secret and any(secret in other or other in secret for other in others if other):
        yield Error(
            "NOTICE_WEBHOOK_SECRET is also another secret of the service.",
            hint="The receiver of the webhook knows it, so it must be used for nothing else.",
            id="flowlu_admin.E022",
        )
    if settings.NOTICE_DIGEST_HOUR > 23:
        yield Error("NOTICE_DIGEST_HOUR must be an hour from 0 to 23.", id="flowlu_admin.E022")
    if settings.NOTICE_WEBHOOK_SECONDS > MAX_TOTAL_SECONDS:
        yield Error(f"NOTICE_WEBHOOK_SECONDS must be at most {MAX_TOTAL_SECONDS}.", id="flowlu_admin.E013")


def _metrics() -> Iterator[CheckMessage]:
    """Look at what opens /metrics: long, sent as it is in a header, and nothing else's secret."""
    token = settings.METRICS_TOKEN
    if token and (len(token) < _SHORTEST_SECRET or not token.isascii() or not token.isprintable() or " " in token):
        yield Error(
            f"METRICS_TOKEN must be at least {_SHORTEST_SECRET} printable ASCII characters without a space.",
            hint=_HOW,
            id="flowlu_admin.E027",
        )
    names = ("FLOWLU_CLIENT_SECRET", "OIDC_CLIENT_SECRET", "NOTICE_WEBHOOK_SECRET", *_RINGS)
    others = [_secret_key(), *(getattr(settings, name) for name in names)]
    if token and any(token in other or other in token for other in others if other):
        yield Error(
            "METRICS_TOKEN is also another secret of the service.",
            hint="Whoever watches the service knows it, so it must be used for nothing else.",
            id="flowlu_admin.E027",
        )


def _is_local(host: str) -> bool:
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost") or name == "testserver":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
