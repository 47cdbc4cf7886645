"""Keep secrets out of logs, tracebacks and error pages.

The first belt is that no code logs or raises with a secret. This is the second: what looks like one, or is one
of the configured ones, is replaced before a line is written or a page is shown.
"""

import logging
import re
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from installations.deception import one_line
from installations.pasted import MIXED

REDACTED = "[redacted]"
_NAMES = (
    r"(?:access_token|refresh_token|session_token|api_?key|client_secret|password|passwd|secret|authorization"
    r"|x-session-token|x_session_token|csrfmiddlewaretoken|sessionid|operator_session|operator_csrf)"
)
# A name may be the end of a longer one (HTTP_X_SESSION_TOKEN) or follow a percent-encoded character.
_BEFORE = r"(?:(?<![A-Za-z])|(?<=%[0-9A-F]{2}))"
# Quotes are escaped in JSON inside JSON and percent-encoded in URLs.
_QUOTE = r"(?:\\*[\"']|%22|%27)?"
_QUOTED = r"""(?:b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|\\+["'].*?\\+["'])"""
_PATTERNS = (
    # A header may hold several cookies: all of it goes.
    re.compile(rf"(?P<keep>(?:set-)?cookie{_QUOTE}\s*[=:]\s*)(?!\s*\[redacted\])(?:{_QUOTED}|[^\r\n]+)", re.IGNORECASE),
    # name=value, name: value, "name": "value", 'name': b'value', 'name': ['value'], Authorization: Bearer value
    re.compile(
        rf"""(?P<keep>{_BEFORE}{_NAMES}\b{_QUOTE}\s*(?:[=:]|%3[AD])\s*)(?!\s*\[redacted\])"""
        rf"""(?:(?:bearer|basic|session)\s+)?(?:{_QUOTED}|\[[^\]]*\]|\([^)]*\)|[^\s&,;}})\]]+)""",
        re.IGNORECASE,
    ),
    # ('name', 'value')
    re.compile(rf"""(?P<keep>["']{_BEFORE}[\w-]*{_NAMES}["']\s*,\s*){_QUOTED}""", re.IGNORECASE),
    re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)(?!\s*\[redacted\])[^\s\"',;]+", re.IGNORECASE),
    # userinfo in a URL; a scheme without a bound would cost the square of a long line
    re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]{0,30}://)(?!\s*\[redacted\])[^/\s@]+@", re.IGNORECASE),
    # The query of an address: what refuses a form names the page that it came from. Bounded, for the same reason.
    re.compile(r"(?P<keep>\bhttps?://[^\s?\"'<>]{1,2000}\?)(?!\[redacted\])[^\s\"'<>]+", re.IGNORECASE),
    # A JSON web token: its parts may each be short.
    re.compile(r"(?P<keep>)(?<![\w-])eyJ[\w-]{5,}(?:\.[\w-]+)+"),
    # A service key says what it is.
    re.compile(r"(?P<keep>)\bfls_[\w-]{8,}"),
    # A long run of mixed letters and digits: tokens and keys have no other mark (flowlu-platform §2.1). Of hexadecimal
    # digits beside a dot, it is the digest in a file's name.
    re.compile(rf"(?P<keep>)(?<![\w-])(?!(?<=\.)[0-9a-f]+(?![\w-])|[0-9a-f]+\.\w){MIXED}[\w-]{{40,}}={{0,2}}"),
)
_CONFIGURED = (
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
)


def redact(text: str) -> str:
    """Return `text` with everything that is, or looks like, a credential replaced."""
    if settings.configured:  # gunicorn's own process writes to its log before they are read
        text = _configured_secrets(tuple(str(getattr(settings, name, "")) for name in _CONFIGURED)).sub(REDACTED, text)
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: f"{match['keep']}{REDACTED}", text)
    return text


@lru_cache(maxsize=4)
def _configured_secrets(settings_texts: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds them in either case: a secret that was sent as a host comes back in lower case."""
    parts = [part.partition(":")[2] or part for text in settings_texts for part in text.split(",")]
    secrets = sorted((part.strip() for part in parts if len(part.strip()) >= 16), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, secrets)) or r"(?!)", re.IGNORECASE)


class RedactionFilter(logging.Filter):
    """Redact the message of every record before any handler formats it."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # a wrong number of arguments must not take the line, nor the process, with it
            message = str(record.msg)
        # A line break in what is logged would forge a line, an escape sequence would steer the terminal of its reader.
        record.msg, record.args = one_line(redact(message)), None
        # A handler that dumps the whole record must not find the request in it.
        record.__dict__.pop("request", None)
        return True


class RedactingFormatter(logging.Formatter):
    """Redact the whole line once more: the traceback is added only when the record is formatted.

    What follows a line is indented: the text of an exception may repeat what a stranger sent, and would forge a line.
    """

    def formatException(self, ei: Any) -> str:
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _indented(super().formatStack(stack_info))

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _indented(text: str) -> str:
    return "\n".join(f"    {one_line(line)}" for line in redact(text).splitlines())


class SecretFreeReporterFilter(SafeExceptionReporterFilter):
    """Show no local variable, body, cookie or header: any of them may hold a credential."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return {}

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        # By name alone the password inside an address would stay, as in the location of a cache.
        cleansed = super().cleanse_setting(key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    def get_safe_request_meta(self, request: HttpRequest | None) -> dict[str, Any]:
        shown = (
            "REQUEST_METHOD",
            "CONTENT_TYPE",
            "CONTENT_LENGTH",
            "SERVER_NAME",
            "SERVER_PORT",
        )
        meta = request.META if request is not None else {}
        return {name: meta[name] for name in shown if name in meta}

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        return {}.items()


class SecretFreeExceptionReporter(ExceptionReporter):
    """Django's debug page and error mail, with the exception's own text redacted and nothing that the caller sent.

    Where the address would stand is the pattern that it matched.
    """

    def get_traceback_data(self) -> dict[str, Any]:
        data: dict[str, Any] = super().get_traceback_data()
        for name in ("exception_value", "exception_notes", "unicode_hint"):
            if data.get(name):
                data[name] = redact(str(data[name]))
        if self.request is not None:
            match = self.request.resolver_match
            path = f"/{match.route}" if match else "[not shown]"
            data["request"] = {"path_info": path, "META": {"REQUEST_METHOD": self.request.method}}
        data["request_GET_items"] = []
        data["request_FILES_items"] = []
        data["request_insecure_uri"] = None
        data["user_str"] = "[not shown]"
        for frame in data.get("frames", []):
            frame["exc_cause"] = redact(str(frame["exc_cause"])) if frame.get("exc_cause") else None
        return data
