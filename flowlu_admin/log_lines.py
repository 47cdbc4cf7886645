"""How a line of the log is written: as text, or as JSON for programs. Either says of which request it is."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from flowlu_admin.redaction import RedactingFormatter, redact
from installations import request_ids

_NONE: Final = "-"


class RequestFilter(logging.Filter):
    """Give every record the request during which it was written, and the installation that the request is for."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_ids.current() or _NONE
        installation = request_ids.installation()
        record.installation_id = _NONE if installation is None else installation
        return True


class JsonFormatter(RedactingFormatter):
    """Write one object for each record, on one line. Each text in it is redacted by itself, so that it stays JSON."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        for name in ("request_id", "installation_id"):
            value = getattr(record, name, _NONE)
            if value != _NONE:
                told[name] = value
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        return json.dumps(told)
