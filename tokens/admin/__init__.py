"""The console's pages of the upper app. Importing the modules registers their models on the admin site."""

from tokens.admin import (
    api_keys,
    ledger,
    oauth_tokens,
    purposes,
    records,
    refreshing,
    service_calls,
    service_clients,
    upstream,
)

__all__ = [
    "api_keys",
    "ledger",
    "oauth_tokens",
    "purposes",
    "records",
    "refreshing",
    "service_calls",
    "service_clients",
    "upstream",
]
