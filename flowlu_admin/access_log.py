"""gunicorn's logs: a decoded path cannot forge a line, what a stranger sent is redacted, and both may be JSON."""

import datetime
from typing import Any

from gunicorn.glogging import Logger

from flowlu_admin.env import env_choice
from flowlu_admin.log_lines import JsonFormatter, RequestFilter
from flowlu_admin.redaction import RedactingFormatter, RedactionFilter

_REPLACED = str.maketrans({number: f"\\x{number:02x}" for number in [*range(32), 34, 92, *range(127, 160)]})


class AccessLogger(Logger):  # type: ignore[misc]  # gunicorn is not typed
    """Escape control characters, quotes and backslashes in what comes from the request; redact every line.

    gunicorn's error log repeats the request line, header or chunk that it refuses, at its usual level.
    """

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        # Not of the settings: gunicorn writes before there are any.
        is_json = env_choice("LOG_FORMAT", "line", ("line", "json")) == "json"
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                made = handler.formatter
                handler.setFormatter(JsonFormatter() if is_json else RedactingFormatter(made._fmt, made.datefmt))
                handler.addFilter(RedactionFilter())
                handler.addFilter(RequestFilter())

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: datetime.timedelta) -> dict[str, Any]:
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        for name in ("U", "m"):
            atoms[name] = str(atoms[name]).translate(_REPLACED)
        return atoms
