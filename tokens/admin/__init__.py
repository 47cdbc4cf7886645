"""The console's pages of the upper app. Importing the modules registers their models on the admin site."""

from tokens.admin import ledger, oauth_tokens, records, refreshing, upstream

__all__ = ["ledger", "oauth_tokens", "records", "refreshing", "upstream"]
