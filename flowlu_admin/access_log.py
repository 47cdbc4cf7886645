"""gunicorn's logs: a decoded path cannot forge a line, and what a stranger sent is redacted in both."""

import datetime
from typing import Any

from gunicorn.glogging import Logger

from flowlu_admin.redaction import RedactingFormatter, RedactionFilter

_REPLACED = str.maketrans({number: f"\\x{number:02x}" for number in [*range(32), 34, 92, *range(127, 160)]})


class AccessLogger(Logger):  # type: ignore[misc]  # gunicorn is not typed
    """Escape control characters, quotes and backslashes in what comes from the request; redact every line.

    gunicorn's error log repeats the request line, header or chunk that it refuses, at its usual level.
    """

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                made = handler.formatter
                handler.setFormatter(RedactingFormatter(made._fmt, made.datefmt))
                handler.addFilter(RedactionFilter())

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: datetime.timedelta) -> dict[str, Any]:
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        for name in ("U", "m"):
            atoms[name] = str(atoms[name]).translate(_REPLACED)
        return atoms
