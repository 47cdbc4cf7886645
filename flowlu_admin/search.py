"""Find anything by what an operator has in hand: a domain, a name, an id, a number, the first digits of a fingerprint.

Never by a token: what looks like one is refused before this is asked (installations.pasted). Every statement goes by
an index or over the few applications, so that a million rows make no difference.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model, Q, QuerySet
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import selectors
from installations.admin.display import badge, join, link, list_url, lock_badge, mono, status_badge, when
from installations.admin.text import visible
from installations.models import Application, ApprovalRequest, AuditEvent, Installation, Portal, PortalUser
from tokens.admin.api_keys import key_badge
from tokens.admin.tables import fingerprint, state_badge, user_label
from tokens.models import ApiKey, OAuthToken, ReplacedFingerprint, Revocation, RevokedFingerprint

LONGEST = 200
SHOWN = 8  # of each kind
_FEWEST = 2  # characters of a domain or a name
_NUMBER = re.compile(r"#?([0-9]{1,18})")
_ADDRESS = re.compile(r"(?:https?:)?(?://)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)\.?(?::[0-9]+)?(?:[/?#].*)?", re.IGNORECASE)
_USER_OF_PORTAL = re.compile(r"([a-z0-9.-]+)/([0-9]{1,32})", re.IGNORECASE)  # as the audit trail names a portal user
_DIGITS = re.compile(r"[0-9a-f]{4,64}")
_FINGERPRINTS = ("access_fingerprint", "refresh_fingerprint")
_NONE = Q(pk__in=())


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found: a link to it, and what tells it from others."""

    link: SafeString
    about: SafeString


@dataclass(frozen=True, slots=True)
class Kind:
    """What was found of one kind. Where there is more than is shown, `more_url` may lead to a list of all of it."""

    title: str
    hits: list[Hit]
    has_more: bool = False
    more_url: str = ""


def find(text: str, may: Callable[[str], bool]) -> list[Kind]:
    """Return what the text finds, kind by kind, of what the operator may see. At most twenty statements."""
    text = unicodedata.normalize("NFC", text.strip())
    kinds = (kind for wanted, look in _KINDS if may(wanted) for kind in look(text))
    return [kind for kind in kinds if kind.hits]


def is_too_short(text: str) -> bool:
    """Return whether the text is looked for nowhere: a letter is the beginning of too much. A digit is a number."""
    return 0 < len(text) < _FEWEST and text.isascii() and not text.isdigit()


def may_search(may: Callable[[str], bool]) -> list[str]:
    """Return what an operator may search for, in words."""
    return [str(words) for permission, words in _WORDS.items() if may(permission)]


def _host_or_text(text: str) -> str:
    """Return the portal of an address that was copied from the browser, whole or in part, or the text as it is."""
    found = _ADDRESS.fullmatch(text)
    return found[1] if found else text


def _installations(text: str) -> Iterator[Kind]:
    text = _host_or_text(text)
    wanted = [_numbered(Installation, text)]
    if len(text) >= _FEWEST:
        wanted.append(Installation.objects.filter(portal__in=_portals_named(text)[: SHOWN + 1]))
    words = text.split()
    if len(words) == 2:
        # `acme desk`: a portal and an application, in either order
        for portal, application in (words, reversed(words)):
            portals, applications = _portals_named(portal), _applications_named(application)
            wanted.append(Installation.objects.filter(portal__in=portals, application__in=applications))
    rows = Installation.objects.select_related("portal", "application")
    yield _kind(
        gettext("Installations"),
        rows.filter(pk__in=_keys(*wanted)).order_by("portal__domain", "application__app_id", "-generation"),
        lambda row: Hit(link(row), join((mono(f"#{row.pk}"), status_badge(row), _lock(row)))),
        list_url(Installation, urlencode({"q": text})),
    )


def _portals(text: str) -> Iterator[Kind]:
    text = _host_or_text(text)
    if len(text) >= _FEWEST:
        yield _kind(
            gettext("Portals"),
            _portals_named(text)[: SHOWN + 1],
            lambda row: Hit(link(row), _lock(row)),
            list_url(Portal, urlencode({"q": text})),
        )


def _applications(text: str) -> Iterator[Kind]:
    text = _host_or_text(text)
    if len(text) >= _FEWEST:
        yield _kind(
            gettext("Applications"),
            _applications_named(text).order_by("name", "pk")[: SHOWN + 1],
            lambda row: Hit(link(row, row.name), join((mono(row.app_id), _lock(row)))),
            list_url(Application, urlencode({"q": text})),
        )


def _portal_users(text: str) -> Iterator[Kind]:
    wanted = PortalUser.objects.none()
    if named := _USER_OF_PORTAL.fullmatch(text):
        wanted = PortalUser.objects.filter(portal__domain=named[1].lower(), flowlu_user_id=named[2])
    elif _NUMBER.fullmatch(text):
        wanted = PortalUser.objects.filter(flowlu_user_id=text.removeprefix("#"))
    elif len(text) >= _FEWEST or not text.isascii():  # a name may be one character
        wanted = selectors.portal_users_named(_host_or_text(text))
    yield _kind(
        gettext("Portal users"),
        PortalUser.objects.select_related("portal").filter(pk__in=_keys(wanted)).order_by("portal__domain", "pk"),
        lambda row: Hit(
            link(row, row.name or gettext("user %(flowlu_user_id)s") % {"flowlu_user_id": row.flowlu_user_id}),
            join(
                (
                    mono(gettext("user %(flowlu_user_id)s") % {"flowlu_user_id": row.flowlu_user_id}),
                    visible(row.portal.domain),
                    _lock(row),
                )
            ),
        ),
        list_url(PortalUser, urlencode({"q": text})),
    )


def _tokens(text: str) -> Iterator[Kind]:
    replaced = ReplacedFingerprint.objects.filter(_begins("fingerprint", text)).order_by("fingerprint")
    wanted = _keys(
        _numbered(OAuthToken, text),
        *(OAuthToken.objects.filter(_begins(name, text)).order_by(name) for name in _FINGERPRINTS),
        replaced.values_list("oauth_token", flat=True),
    )
    rows = OAuthToken.objects.select_related("portal_user__portal").defer("sealed_access_token", "sealed_refresh_token")
    yield _kind(
        gettext("Tokens"),
        rows.filter(pk__in=wanted).order_by("-pk"),
        lambda row: Hit(
            link(row),
            join((fingerprint(row), state_badge(row), user_label(row), visible(row.portal_user.portal.domain))),
        ),
    )


def _api_keys(text: str) -> Iterator[Kind]:
    wanted = _keys(_numbered(ApiKey, text), ApiKey.objects.filter(_begins("fingerprint", text)).order_by("fingerprint"))
    rows = ApiKey.objects.select_related("installation__portal", "installation__application").defer("sealed_key")
    yield _kind(
        gettext("API keys"),
        rows.filter(pk__in=wanted).order_by("-pk"),
        lambda row: Hit(link(row), join((key_badge(row), link(row.installation)))),
    )


def _revocations(text: str) -> Iterator[Kind]:
    denied = RevokedFingerprint.objects.filter(_begins("fingerprint", text)).order_by("fingerprint")
    wanted = _keys(_numbered(Revocation, text), denied.values_list("revocation", flat=True))
    yield _kind(
        gettext("Revocations"),
        Revocation.objects.filter(pk__in=wanted).order_by("-pk"),
        lambda row: Hit(link(row), join((visible(row.target_label), when(row.cut_at)))),
    )


def _requests(text: str) -> Iterator[Kind]:
    yield _kind(
        gettext("Approval requests"),
        _numbered(ApprovalRequest, text),
        lambda row: Hit(link(row), join((badge(row.get_state_display(), "plain"), when(row.requested_at)))),
    )


def _events(text: str) -> Iterator[Kind]:
    yield _kind(
        gettext("Audit trail"),
        AuditEvent.objects.filter(sequence__in=_number(text)) if _number(text) else (),
        lambda row: Hit(
            link(row, gettext("no. %(sequence)s: %(verb)s") % {"sequence": row.sequence, "verb": row.verb}),
            join((visible(row.target_id), when(row.occurred_at))),
        ),
    )


def _kind(title: str, rows: Iterable[Any], show: Callable[[Any], Hit], more_url: str = "") -> Kind:
    found = list(rows)
    return Kind(title, [show(row) for row in found[:SHOWN]], len(found) > SHOWN, more_url)


def _keys(*wanted: QuerySet[Any]) -> list[int]:
    """Return the keys of the first rows of each, every one asked by itself: no index answers an OR of them."""
    found: dict[int, None] = {}
    for rows in wanted:
        keys = rows if rows.query.values_select else rows.values_list("pk", flat=True)
        found.update(dict.fromkeys(keys[: SHOWN + 1]))
    return list(found)[: SHOWN + 1]


def _portals_named(text: str) -> QuerySet[Portal]:
    return Portal.objects.filter(domain__startswith=text.lower()).order_by("domain")


def _applications_named(text: str) -> QuerySet[Application]:
    return Application.objects.filter(Q(app_id__icontains=text) | Q(name__icontains=text))


def _numbered(model: type[Model], text: str) -> QuerySet[Any]:
    number = _number(text)
    rows: QuerySet[Any] = model._default_manager.all()
    return rows.filter(pk__in=number) if number else rows.none()


def _number(text: str) -> list[int]:
    found = _NUMBER.fullmatch(text)
    return [int(found[1])] if found else []


def _begins(column: str, text: str) -> Q:
    """Return the condition that a fingerprint begins so. As a range: an index of any collation answers it."""
    digits = text.lower()
    return Q(**{f"{column}__gte": digits, f"{column}__lt": f"{digits}g"}) if _DIGITS.fullmatch(digits) else _NONE


def _lock(row: Any) -> SafeString:
    return lock_badge() if row.locked_at else join(())


_KINDS: tuple[tuple[str, Callable[[str], Iterator[Kind]]], ...] = (
    ("installations.view_installation", _installations),
    ("installations.view_portal", _portals),
    ("installations.view_application", _applications),
    ("installations.view_portaluser", _portal_users),
    ("tokens.view_oauthtoken", _tokens),
    ("tokens.view_apikey", _api_keys),
    ("tokens.view_revocation", _revocations),
    ("installations.view_approvalrequest", _requests),
    ("installations.view_auditevent", _events),
)
_WORDS = {
    "installations.view_installation": _("installations, by number, by portal, or by portal and application"),
    "installations.view_portal": _("portals, by the beginning of the domain or a copied address"),
    "installations.view_application": _("applications, by name or appId"),
    "installations.view_portaluser": _(
        "portal users, by Flowlu user id, by the beginning of any of their names, or as the audit trail names them, "
        "like acme.flowlu.com/2"
    ),
    "tokens.view_oauthtoken": _("tokens, by number or by the first digits of a fingerprint"),
    "tokens.view_apikey": _("API keys, by number or by the first digits of a fingerprint"),
    "tokens.view_revocation": _("revocations, by number or by the fingerprint of what they revoked"),
    "installations.view_approvalrequest": _("approval requests, by number"),
    "installations.view_auditevent": _("audit events, by number"),
}
