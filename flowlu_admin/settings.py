"""Every setting of the service, read from the environment. docs/settings.md describes each for an operator.

Nothing here has an insecure default: without DEBUG a missing secret stays empty and the system checks of
`flowlu_admin.checks` stop the start.
"""

import os
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from flowlu_admin import local_secrets
from flowlu_admin.env import env_bool, env_choice, env_grants, env_int, env_list, env_pairs, env_secret, env_str
from flowlu_admin.restoring.server import address_of, parameters_of
from installations.flowlu.wire import ERROR_CODES, RETRY_HEADER, TOKEN_HEADER

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env_str("VAR_DIR") or BASE_DIR / "var")
DEBUG = env_bool("DEBUG", False)

# --- Secrets ---------------------------------------------------------------------------------------------

_SECRET_NAMES = ("SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY")
_secrets = {name: env_secret(name) for name in _SECRET_NAMES}
if DEBUG and not all(_secrets.values()):
    _local = local_secrets.read_or_make(VAR_DIR / "secrets.json")
    _secrets = {name: value or _local[name] for name, value in _secrets.items()}
SECRET_KEY = _secrets["SECRET_KEY"]
TOKEN_KEYS = _secrets["TOKEN_KEYS"]
FINGERPRINT_KEY = _secrets["FINGERPRINT_KEY"]
AUDIT_KEY = _secrets["AUDIT_KEY"]

# django-cryptography falls back to a key of its own, else to SECRET_KEY. Sealing always passes its keys; should some
# code forget to, what it seals under this one unseals nowhere, which shows at once.
CRYPTOGRAPHY_KEY = token_urlsafe(32)

# --- Where the service is reached --------------------------------------------------------------------------

PUBLIC_URL = env_str("PUBLIC_URL", "http://127.0.0.1:8000" if DEBUG else "").rstrip("/")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]" if DEBUG else "")
# Only these may say in X-Forwarded-For and X-Forwarded-Proto whom they speak for (addresses or networks).
TRUSTED_PROXIES = env_list("TRUSTED_PROXIES")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL.startswith("https://") else []

# --- Flowlu ------------------------------------------------------------------------------------------------

FLOWLU_PORTAL_URL = env_str("FLOWLU_PORTAL_URL").rstrip("/") or "https://{portal}"
# An address that the operator of the service set by hand is spared the filter against private addresses.
FLOWLU_PORTAL_URL_IS_SET = bool(env_str("FLOWLU_PORTAL_URL"))
FLOWLU_PORTAL_SUFFIXES = env_list("FLOWLU_PORTAL_SUFFIXES", ".flowlu.com")
FLOWLU_SDK_URL = env_str("FLOWLU_SDK_URL")
# How long one call may take: to connect, between two reads, and in all; and how many calls to one portal may be under
# way at once in a process, so that a slow portal cannot hold every thread (docs/adr/0011).
FLOWLU_CONNECT_SECONDS = env_int("FLOWLU_CONNECT_SECONDS", 3, minimum=1)
FLOWLU_READ_SECONDS = env_int("FLOWLU_READ_SECONDS", 20, minimum=1)
FLOWLU_TOTAL_SECONDS = env_int("FLOWLU_TOTAL_SECONDS", 30, minimum=1)
PORTAL_CONCURRENCY = env_int("PORTAL_CONCURRENCY", max(1, env_int("THREADS", 32, minimum=1) // 2))  # 0 = off
# After so many connections in a row that failed, a portal is asked once in so many seconds until it is reached, so that
# one that is gone does not hold threads either (docs/adr/0046).
PORTAL_FAILURES = env_int("PORTAL_FAILURES", 5)  # 0 = off
PORTAL_PAUSE_SECONDS = env_int("PORTAL_PAUSE_SECONDS", 10, minimum=1)
# Flowlu documents what a launch carries, not under which names (flowlu-platform §6.1): ours = theirs.
FLOWLU_LAUNCH_NAMES = env_pairs(
    "FLOWLU_LAUNCH_NAMES",
    "portal=domain,language=language,app_id=app_id,app_version=app_version,integration_point=integration_id",
)

# What Flowlu's documentation leaves open about the wire: installations/flowlu/wire.py.
FLOWLU_TOKEN_HEADER = env_str("FLOWLU_TOKEN_HEADER") or TOKEN_HEADER
FLOWLU_BODY = env_choice("FLOWLU_BODY", "form", ("form", "json"))
FLOWLU_DELETE_METHOD = env_choice("FLOWLU_DELETE_METHOD", "get", ("get", "post"))
FLOWLU_ERROR_CODES = env_pairs("FLOWLU_ERROR_CODES", ERROR_CODES)
FLOWLU_RETRY_HEADER = env_str("FLOWLU_RETRY_HEADER") or RETRY_HEADER
FLOWLU_EXPIRY_ZONE = env_str("FLOWLU_EXPIRY_ZONE") or "UTC"  # of an `expires_at` that names none

# Server-side refresh (RFC 6749 §6) and upstream revocation (RFC 7009): off unless set, since Flowlu documents neither.
FLOWLU_TOKEN_URL = env_str("FLOWLU_TOKEN_URL")
FLOWLU_REVOCATION_URL = env_str("FLOWLU_REVOCATION_URL")
FLOWLU_CLIENT_ID = env_str("FLOWLU_CLIENT_ID")
FLOWLU_CLIENT_SECRET = env_secret("FLOWLU_CLIENT_SECRET")
FLOWLU_CLIENT_AUTH = env_choice("FLOWLU_CLIENT_AUTH", "basic", ("basic", "post"))
OAUTH_TOTAL_SECONDS = env_int("OAUTH_TOTAL_SECONDS", 10, minimum=1)  # one request to either endpoint
REFRESH_MARGIN_SECONDS = env_int("REFRESH_MARGIN_SECONDS", 60)  # so long before its expiry a pair is refreshed
REFRESH_TRIES = env_int("REFRESH_TRIES", 10, minimum=1)
REFRESH_BACKOFF_SECONDS = env_int("REFRESH_BACKOFF_SECONDS", 10, minimum=1)  # doubled each time, half as much jitter
UPSTREAM_TRIES = env_int("UPSTREAM_TRIES", 6, minimum=1)
UPSTREAM_BACKOFF_SECONDS = env_int("UPSTREAM_BACKOFF_SECONDS", 10, minimum=1)
WIPE_EXPIRED_HOURS = env_int(
    "WIPE_EXPIRED_HOURS", 24
)  # expires_at has no zone, so an expired pair is wiped a day later

# --- Metrics -------------------------------------------------------------------------------------------------

METRICS_TOKEN = env_secret("METRICS_TOKEN")  # what Prometheus shows at /metrics, which is not there without it

# --- Background work ---------------------------------------------------------------------------------------

CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True  # every task is safe to run twice
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_BROKER_URL = env_secret("CELERY_BROKER_URL") or env_secret("REDIS_URL")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A broker that is away must not hold up whoever asks: the sweep does what was not queued.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 5, "max_retries": 1}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_ALWAYS_EAGER = not CELERY_BROKER_URL  # without a broker a task runs in the process that asks
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# --- Embed sessions and rates ------------------------------------------------------------------------------

EMBED_SESSION_IDLE = env_int("EMBED_SESSION_IDLE", 30 * 60, minimum=1)  # seconds
EMBED_SESSION_MAX = env_int("EMBED_SESSION_MAX", 8 * 60 * 60, minimum=1)  # seconds
# How long the fingerprints of a pair are kept that a hand-over replaced: a revocation of its lineage denies them too.
REPLACED_FINGERPRINT_DAYS = env_int("REPLACED_FINGERPRINT_DAYS", 30, minimum=1)
HANDSHAKE_RATE = env_str("HANDSHAKE_RATE", "120/m")  # per address and portal; 0 = off
CALL_RATE = env_str("CALL_RATE", "600/m")  # per session; 0 = off

# --- Audit trail -------------------------------------------------------------------------------------------

AUDIT_ANCHOR_FILE = env_str("AUDIT_ANCHOR_FILE")  # where anchor_audit writes the head of the chain down
AUDIT_ANCHOR_URL = env_str("AUDIT_ANCHOR_URL")  # and where it sends it
SESSION_DAYS = env_int("SESSION_DAYS", 90)  # how long an embed session that is over is kept; 0 = for ever
REFRESH_ATTEMPT_DAYS = env_int("REFRESH_ATTEMPT_DAYS", 400)  # how long an attempt at refreshing is kept; 0 = for ever
EVIDENCE_DAYS = env_int("EVIDENCE_DAYS", 400)  # how long evidence is kept; 0 = for ever
LIVENESS_QUIET_DAYS = env_int("LIVENESS_QUIET_DAYS", 14, minimum=1)  # so long without use an installation is quiet
# So long without a sign of life, one refused token is enough to suspect a removal.
LIVENESS_SUSPECT_DAYS = env_int("LIVENESS_SUSPECT_DAYS", 45, minimum=1)
LIVENESS_UNREACHED_DAYS = env_int("LIVENESS_UNREACHED_DAYS", 7, minimum=1)  # and so long without reaching the portal
LIVENESS_EVIDENCE_HOURS = env_int("LIVENESS_EVIDENCE_HOURS", 6, minimum=1)  # of one kind of call one row is kept
LIVENESS_PROBE_DAYS = env_int("LIVENESS_PROBE_DAYS", 3, minimum=1)  # between two probes at first, then doubled
LIVENESS_PROBE_MAX_DAYS = env_int("LIVENESS_PROBE_MAX_DAYS", 30, minimum=1)  # up to this
LIVENESS_PORTAL_SECONDS = env_int("LIVENESS_PORTAL_SECONDS", 3600, minimum=1)  # between two probes of one portal
LIVENESS_PROBES_PER_SWEEP = env_int("LIVENESS_PROBES_PER_SWEEP", 20)  # 0 = none is ever made
SCOPE_USAGE_DAYS = env_int("SCOPE_USAGE_DAYS", 400)  # how long the counts of a day are kept; 0 = for ever
AUDIT_RETENTION_DAYS = env_int("AUDIT_RETENTION_DAYS", 365, minimum=1)  # no younger event is ever removed

# --- Reviews of approvals ----------------------------------------------------------------------------------

# By the risk of what is approved, in days: when an approval is to be looked at again at the latest, and after how long
# without a call that it let through it is proposed to be lowered or withdrawn (docs/adr/0024).
REVIEW_DAYS = {
    "low": env_int("REVIEW_DAYS_LOW", 365, minimum=1),
    "medium": env_int("REVIEW_DAYS_MEDIUM", 180, minimum=1),
    "high": env_int("REVIEW_DAYS_HIGH", 90, minimum=1),
}
UNUSED_DAYS = {
    "low": env_int("UNUSED_DAYS_LOW", 180, minimum=1),
    "medium": env_int("UNUSED_DAYS_MEDIUM", 90, minimum=1),
    "high": env_int("UNUSED_DAYS_HIGH", 60, minimum=1),
}

# --- Backend use -------------------------------------------------------------------------------------------

SERVICE_RATE = env_str("SERVICE_RATE", "1200/m")  # per service client; 0 = off
SERVICE_CALL_DAYS = env_int("SERVICE_CALL_DAYS", 400)  # how long the row of a call is kept; 0 = for ever

# --- Operators ---------------------------------------------------------------------------------------------

OPERATOR_MFA = env_choice("OPERATOR_MFA", "optional" if DEBUG else "required", ("required", "optional"))
# How long a proof of who one is (a sign-in, or the factor asked for once more) stands for what needs a fresh one.
CONFIRMED_SECONDS = env_int("CONFIRMED_SECONDS", 600, minimum=60)
# Approvals of high risk and approvals for many installations need a second operator.
FOUR_EYES = env_choice("FOUR_EYES", "off" if DEBUG else "on", ("on", "off"))
FOUR_EYES_HOURS = env_int("FOUR_EYES_HOURS", 72, minimum=1)  # how long a request for an approval may wait
INVITATION_HOURS = env_int("INVITATION_HOURS", 72, minimum=1)  # how long an invitation may be accepted
LEAKED_RATE = env_str("LEAKED_RATE", "60/h")  # look-ups of leaked tokens per operator; 0 = off

# Sign-in through the company's OpenID provider: off unless set (docs/adr/0038).
OIDC_ISSUER = env_str("OIDC_ISSUER")
OIDC_CLIENT_ID = env_str("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env_secret("OIDC_CLIENT_SECRET")
OIDC_NAME = env_str("OIDC_NAME") or "the company account"  # on the button, after "Sign in with"
OIDC_SCOPES = env_list("OIDC_SCOPES")  # beside openid, where the provider names groups only if it is asked to
OIDC_GROUPS_CLAIM = env_str("OIDC_GROUPS_CLAIM") or "groups"
OIDC_GROUP_MAP = env_grants("OIDC_GROUP_MAP")  # a group of the provider: the groups here that it gives
OIDC_CREATE_OPERATORS = env_bool("OIDC_CREATE_OPERATORS", False)
OIDC_TOTAL_SECONDS = env_int("OIDC_TOTAL_SECONDS", 10, minimum=1)  # all requests of one sign-in together

# --- Mail --------------------------------------------------------------------------------------------------

EMAIL_HOST = env_str("EMAIL_HOST")
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env_secret("EMAIL_HOST_PASSWORD")
EMAIL_USE_SSL = env_bool("EMAIL_USE_SSL", False)
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", not EMAIL_USE_SSL)
EMAIL_PORT = env_int("EMAIL_PORT", 465 if EMAIL_USE_SSL else 587, minimum=1)
EMAIL_TIMEOUT = env_int("EMAIL_TIMEOUT", 10, minimum=1)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env_str("DEFAULT_FROM_EMAIL", "console@localhost" if DEBUG else "")
EMAIL_FILE_PATH = VAR_DIR / "mail"  # where a development machine without a mail server finds what would be sent
SENDS_MAIL = bool(EMAIL_HOST) or DEBUG  # without it, what needs mail says so
if EMAIL_HOST:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
elif DEBUG:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

# --- Telling operators -------------------------------------------------------------------------------------

# Whoever has the address of a webhook can post to it at most receivers, so it is a secret as its key is.
NOTICE_WEBHOOK_URL = env_secret("NOTICE_WEBHOOK_URL")
NOTICE_WEBHOOK_SECRET = env_secret("NOTICE_WEBHOOK_SECRET")
NOTICE_WEBHOOK_SECONDS = env_int("NOTICE_WEBHOOK_SECONDS", 10, minimum=1)  # one POST in all
NOTICE_DIGEST_HOUR = env_int("NOTICE_DIGEST_HOUR", 7)  # UTC
NOTICE_PAUSE_MINUTES = env_int("NOTICE_PAUSE_MINUTES", 5)  # between two messages of what is not urgent
NOTICE_DAYS = env_int("NOTICE_DAYS", 90)  # so long it is kept what was sent; 0 = for good
NOTICE_TEST_RATE = env_str("NOTICE_TEST_RATE", "5/h")  # tests that an operator sends to themselves; 0 = off

# --- Django ------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "installations.apps.InstallationsConfig",
    "tokens.apps.TokensConfig",
    "flowlu_admin.apps.OperatorAdminConfig",
    "flowlu_admin.apps.FlowluAdminConfig",  # before what it has a command of the same name as
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.mfa",
    "csp",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "flowlu_admin.middleware.TrustedProxyMiddleware",
    "flowlu_admin.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "flowlu_admin.middleware.NoStoreMiddleware",
    # Around all that may refuse: a frontend on another origin reads why.
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "flowlu_admin.middleware.OperatorZoneMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "flowlu_admin.middleware.PageMethodsMiddleware",
    "flowlu_admin.middleware.NotFoundMiddleware",
]

ROOT_URLCONF = "flowlu_admin.urls"
WSGI_APPLICATION = "flowlu_admin.wsgi.application"
# One slash policy for all: the API has none, and a redirect would drop a POST body.
APPEND_SLASH = False

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_database_url = env_secret("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'db.sqlite3'}"
try:
    DATABASES: dict[str, dict[str, Any]] = {"default": dict(dj_database_url.parse(_database_url))}
except ValueError:  # its text may repeat the password
    raise ImproperlyConfigured(
        "DATABASE_URL cannot be read. For example postgres://name:password@db.example.com/flowlu; special "
        "characters of a password are percent-encoded."
    ) from None
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The database file and its journal are for this account alone.
    os.umask(0o077)
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        # IMMEDIATE takes the write lock at BEGIN: two verbs can never both read and then both write.
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    )
else:
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        pool={
            "min_size": 1,
            "max_size": env_int("DATABASE_POOL_SIZE", 32, minimum=1),
            "timeout": 10,
            # The pool doubles its pauses for so long, by default 300 seconds: a PostgreSQL that was away for minutes
            # would be left alone for minutes more. Whoever asks after this begins anew, at once.
            "reconnect_timeout": 10,
        },
        # What is asked so many times of one connection is planned once (tokens/prepared.py).
        prepare_threshold=2 if env_bool("DATABASE_PREPARES", True) else None,
    )
DATABASES["default"]["ATOMIC_REQUESTS"] = False
# From which database restore_drill makes its scratch one for a dump of PostgreSQL: unset, on the service's own server.
DRILL_DATABASE_URL = env_secret("DRILL_DATABASE_URL") or (
    address_of("postgres", parameters_of(DATABASES["default"]))
    if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql"
    else ""
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_redis_url = env_secret("REDIS_URL")
SHARES_COUNTS = bool(_redis_url)  # between processes: rates, and codes of second factors that were used
WEB_CONCURRENCY = env_int("WEB_CONCURRENCY", 1, minimum=1)  # gunicorn reads it by itself
CACHES: dict[str, dict[str, Any]] = {
    "default": (
        {"BACKEND": "flowlu_admin.counting_cache.SharedCache", "LOCATION": _redis_url}
        if _redis_url
        else {"BACKEND": "flowlu_admin.counting_cache.LocalCache"}
    )
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # what the console is written in; a browser's wish must not label it otherwise
LOCALE_PATHS = [BASE_DIR / "locale"]  # the embed page speaks more (docs/adr/0032)
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
# Unset, files are served from where they lie, without a collectstatic step, and kept by browsers for some minutes. Set,
# it is the folder of collectstatic: what pages name has its hash in its name, and is kept for good (docs/adr/0041).
STATIC_ROOT = env_str("STATIC_ROOT") or None
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "flowlu_admin.static_files.NamedByContent"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not STATIC_ROOT
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MAX_AGE = 300  # of a name without a hash, as frontends of vendors import it

# --- Security headers --------------------------------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
# Safe to believe: TrustedProxyMiddleware drops the header unless a trusted proxy sent it. Without it no answer behind
# a proxy would carry Strict-Transport-Security.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = False  # TLS ends at the proxy, which redirects; the checks insist on https in PUBLIC_URL
SECURE_HSTS_SECONDS = 0 if DEBUG else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
SILENCED_SYSTEM_CHECKS = [
    "security.W005", "security.W021",  # of other names below ours, and of lists of browsers, their owner decides
    "security.W008",  # the redirect, as above
]  # fmt: skip
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "flowlu_admin.sessions"
SESSION_COOKIE_NAME = "operator_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
# What is said goes with the session, sealed as it is: in a cookie it would wait for whoever signs in next.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CSRF_COOKIE_NAME = "operator_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SAMESITE = "Strict"
# No upload is ever written to a disk: it may hold leaked tokens. One above 2.5 MB is dropped; no page takes such.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 3 * 1024 * 1024  # a pasted manifest of 1 MiB may triple when form-encoded

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

# Pages of other origins may call the current-user API, and only that. From which ones is in each application's list
# (flowlu_admin/cross_origin.py). There is no cookie to send along, and there must not be one.
CORS_URLS_REGEX = r"^/api/v1/"
CORS_ALLOW_ALL_ORIGINS = False
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_PRIVATE_NETWORK = False
CORS_ALLOW_METHODS = ("GET", "POST", "PUT", "DELETE")
CORS_ALLOW_HEADERS = ("content-type", "x-session-token")
CORS_EXPOSE_HEADERS = ("Retry-After", "WWW-Authenticate", "X-Request-ID")
CORS_PREFLIGHT_MAX_AGE = 300  # seconds

# --- Sign-in of operators ----------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "admin:index"
ACCOUNT_ADAPTER = "flowlu_admin.operators.OperatorAccountAdapter"
SOCIALACCOUNT_ADAPTER = "flowlu_admin.operators.OperatorSocialAccountAdapter"
MFA_ADAPTER = "flowlu_admin.operators.OperatorMFAAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = CONFIRMED_SECONDS
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/300s/key",
    "reauthenticate": "10/m/user",
    "invitation": "20/m/ip",
    "company": "30/m/ip",
    # per address of the browser, and per mail address that somebody types, known or not
    "reset_password": "10/m/ip,3/h/key",
    "reset_password_from_key": "20/m/ip",
}
# A code to type instead of a link: no address holds it, and it counts in the browser that asked only.
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_PASSWORD_RESET_BY_CODE_MAX_ATTEMPTS = 3
ACCOUNT_PASSWORD_RESET_BY_CODE_CODE_FORMAT = {"length": 12}
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # strangers get no mail from here
ACCOUNT_FORMS = {"reset_password": "flowlu_admin.password_reset.OperatorResetForm"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "add_webauthn": "flowlu_admin.factor_forms.AddKeyForm",
    "edit_webauthn": "flowlu_admin.factor_forms.EditKeyForm",
    "authenticate_webauthn": "flowlu_admin.factor_forms.AuthenticateKeyForm",
    "reauthenticate_webauthn": "flowlu_admin.factor_forms.ReauthenticateKeyForm",
}
# A key stands beside the password and never in its place (docs/adr/0035), so that to hold it is enough.
MFA_WEBAUTHN_USER_VERIFICATION = "preferred"
MFA_PASSKEY_LOGIN_ENABLED = False
MFA_PASSKEY_SIGNUP_ENABLED = False
MFA_TOTP_ISSUER = "Flowlu console"
# Of allauth's social accounts only what speaks OpenID Connect is used (flowlu_admin/oidc/), and none of its tables.
SOCIALACCOUNT_AUTO_SIGNUP = False
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False

# --- API ---------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["tokens.api.permissions.DenyAll"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tokens.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tokens.api.errors.exception_handler",
    "URL_FORMAT_OVERRIDE": None,  # `?format=` is a parameter of Flowlu's, as any other
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Current-user API",
    "DESCRIPTION": (
        "Call Flowlu as the user whose access token opened the session. Open a session with the tokens of the JS SDK, "
        "keep `session_token` in memory and send it as `X-Session-Token`. No cookie is set or read. A page of another "
        "origin is answered where an operator allowed its origin for the application.\n\n"
        "A call is checked in this order and the first failure answers: `invalid_session`, `origin_not_allowed`, "
        "`invalid_request`, "
        "`token_revoked`, `user_locked`, `installation_locked`, `installation_suspended`, `insufficient_scope`, "
        "405 (a write needs POST), `token_stale`. On `token_stale` refresh through the SDK, `PUT` the new pair to "
        "`/api/v1/session/token` and try once more."
    ),
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["tokens.api.permissions.AllowAnybody"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {},
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "tokens.api.links.link_session"],
}

# --- Logging and error reports -----------------------------------------------------------------------------

DEFAULT_EXCEPTION_REPORTER = "flowlu_admin.redaction.SecretFreeExceptionReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "flowlu_admin.redaction.SecretFreeReporterFilter"
LOG_FORMAT = env_choice("LOG_FORMAT", "line", ("line", "json"))
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "redact": {"()": "flowlu_admin.redaction.RedactionFilter"},
        "request": {"()": "flowlu_admin.log_lines.RequestFilter"},
    },
    "formatters": {
        "line": {
            "()": "flowlu_admin.redaction.RedactingFormatter",
            "format": "{asctime} {levelname} {name} [{request_id} {installation_id}]: {message}",
            "style": "{",
        },
        "json": {"()": "flowlu_admin.log_lines.JsonFormatter"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "filters": ["redact", "request"], "formatter": LOG_FORMAT},
    },
    "root": {"handlers": ["console"], "level": env_str("LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "django": {"handlers": [], "propagate": True, "level": "INFO"},
        # A refused call is an answer, not an event: the access log has it.
        "django.request": {"level": "ERROR"},
        # So is a request that is too large, which any stranger can send.
        "django.security.RequestDataTooBig": {"level": "CRITICAL"},
        "django.security.TooManyFieldsSent": {"level": "CRITICAL"},
        "django.security.TooManyFilesSent": {"level": "CRITICAL"},
        # Below this it writes the variables of a template: the seed of a second factor is one.
        "django.template": {"level": "INFO"},
        # Below this it writes the numbers of operators' security keys. The trail tells when they are used.
        "fido2": {"level": "WARNING"},
        # Below this it writes paths with their query, which may hold what somebody searched for.
        "urllib3": {"level": "ERROR"},
    },
}
