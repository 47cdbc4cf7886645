"""State of the upper app: sealed credentials, embed sessions, revocations and declared purposes.

A secret column holds a sealed value or nothing. No attribute of a row is ever a secret in clear, and no
`__str__` or `__repr__` names more than the row's number.
"""

from tokens.models.credentials import ApiKey, ApiKeyQuerySet, OAuthToken, OAuthTokenQuerySet, RefreshAttempt
from tokens.models.day_counts import DayCount
from tokens.models.keys import KeyRecord
from tokens.models.revocation import ReplacedFingerprint, Revocation, RevokedFingerprint, UpstreamRevocation
from tokens.models.service import Purpose, ServiceCall, ServiceClient
from tokens.models.sessions import EmbedSession, EmbedSessionQuerySet
from tokens.models.sweeps import SweepRun

__all__ = [
    "ApiKey",
    "ApiKeyQuerySet",
    "DayCount",
    "EmbedSession",
    "EmbedSessionQuerySet",
    "KeyRecord",
    "OAuthToken",
    "OAuthTokenQuerySet",
    "Purpose",
    "RefreshAttempt",
    "ReplacedFingerprint",
    "Revocation",
    "RevokedFingerprint",
    "ServiceCall",
    "ServiceClient",
    "SweepRun",
    "UpstreamRevocation",
]
