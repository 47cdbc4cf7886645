"""Numbers of things in words: for a cell, or as one of several in a sentence. One alone is said with `ngettext`."""

from django.utils.translation import ngettext


def _said(words: str, count: int) -> str:
    return words % {"count": f"{count:,}"}


def minutes(count: int) -> str:
    return _said(ngettext("%(count)s minute", "%(count)s minutes", count), count)


def hours(count: int) -> str:
    return _said(ngettext("%(count)s hour", "%(count)s hours", count), count)


def days(count: int) -> str:
    return _said(ngettext("%(count)s day", "%(count)s days", count), count)


def tokens(count: int) -> str:
    return _said(ngettext("%(count)s token", "%(count)s tokens", count), count)


def sessions(count: int) -> str:
    return _said(ngettext("%(count)s session", "%(count)s sessions", count), count)


def open_sessions(count: int) -> str:
    return _said(ngettext("%(count)s open session", "%(count)s open sessions", count), count)


def installations(count: int) -> str:
    return _said(ngettext("%(count)s installation", "%(count)s installations", count), count)


def users(count: int) -> str:
    return _said(ngettext("%(count)s user", "%(count)s users", count), count)


def refreshes(count: int) -> str:
    return _said(ngettext("%(count)s refresh", "%(count)s refreshes", count), count)


def people(count: int) -> str:
    return _said(ngettext("%(count)s person", "%(count)s people", count), count)


def calls(count: int) -> str:
    return _said(ngettext("%(count)s call", "%(count)s calls", count), count)


def events(count: int) -> str:
    return _said(ngettext("%(count)s event", "%(count)s events", count), count)


def requests(count: int) -> str:
    return _said(ngettext("%(count)s request", "%(count)s requests", count), count)


def invitations(count: int) -> str:
    return _said(ngettext("%(count)s invitation", "%(count)s invitations", count), count)


def times(count: int) -> str:
    return _said(ngettext("%(count)s time", "%(count)s times", count), count)


def security_keys(count: int) -> str:
    return _said(ngettext("%(count)s security key", "%(count)s security keys", count), count)


def api_keys(count: int) -> str:
    return _said(ngettext("%(count)s API key", "%(count)s API keys", count), count)
