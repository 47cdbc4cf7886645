"""gunicorn's access log, in which a decoded path cannot forge a line."""

import datetime
from typing import Any

from gunicorn.glogging import Logger

_REPLACED = str.maketrans({number: f"\\x{number:02x}" for number in [*range(32), 34, 92, *range(127, 160)]})


class AccessLogger(Logger):  # type: ignore[misc]  # gunicorn is not typed
    """Escape control characters, quotes and backslashes in what comes from the request."""

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: datetime.timedelta) -> dict[str, Any]:
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        for name in ("U", "m"):
            atoms[name] = str(atoms[name]).translate(_REPLACED)
        return atoms
