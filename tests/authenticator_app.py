"""An authenticator app, as an operator has one on a phone (RFC 6238)."""

import time

from allauth.mfa import app_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

_ENOUGH = 3  # seconds in which what is shown is typed and checked


def code_of(secret: str) -> str:
    """Return the code that the app shows, and wait for the next one where this one is about to end."""
    left = app_settings.TOTP_PERIOD - time.time() % app_settings.TOTP_PERIOD
    if left < _ENOUGH:
        time.sleep(left)
    return str(format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time()))))
