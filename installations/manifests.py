"""Reading an application's manifest: all faults at once, nothing dropped, nothing guessed.

Scopes stay exactly as they are written, known or not, because what was asked for is evidence. What is odd but
harmless becomes a notice; only what cannot be stored or relied on is an error.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from installations import catalogue as catalogues
from installations.catalogue import Catalogue
from installations.errors import ManifestError, ManifestInvalid
from installations.said import said
from installations.scopes import Scope, swallowed
from installations.scopes import read as read_scope
from installations.strict_json import JSONValue, StrictJSONError, canonical, loads

__all__ = ["ManifestError", "ManifestNotice", "ParsedManifest", "parse"]

MAX_BYTES = 1024 * 1024
MAX_PERMISSIONS = 5000
MAX_PERMISSION_LENGTH = 200
MAX_APP_ID_LENGTH = 200
MAX_NAME_LENGTH = 200
LISTING_NAME_LENGTH = 60
MAX_VERSION_LENGTH = 50
MAX_DESCRIPTION_LENGTH = 10_000
MAX_URL_LENGTH = 2000
MAX_ERRORS = 100

NoticeKind: TypeAlias = Literal[
    "unknown_field",
    "unknown_scope",
    "duplicate_scope",
    "swallowed_scope",
    "odd_characters",
    "long_name",
    "plain_http",
]

_VERSION = re.compile(r"(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)")
_URL = re.compile(r"[\x21-\x7e]+")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_KNOWN_FIELDS = (
    "appId",
    "name",
    "version",
    "description",
    "author",
    "iconUrl",
    "categories",
    "tags",
    "permissions",
    "integrationPoints",
    "entrypointURL",
    "webhookURL",
    "apiEndpoints",
    "configuration",
    "platformVersion",
)


@dataclass(frozen=True, slots=True)
class ManifestNotice:
    """Something that an operator should see, but that does not stop the import; `scope` is the text it is about."""

    kind: NoticeKind
    path: str
    message: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """A manifest that can be stored: `document` is all of it, `permissions` are verbatim and in order."""

    app_id: str
    name: str
    version: str
    description: str
    permissions: tuple[str, ...]
    entrypoint_url: str | None
    webhook_url: str | None
    integration_points: dict[str, JSONValue]
    document: dict[str, JSONValue]
    sha256: str
    notices: tuple[ManifestNotice, ...]


def parse(source: str | bytes, *, catalogue: Catalogue | None = None) -> ParsedManifest:
    """Read a manifest, or raise ManifestInvalid with every fault; the catalogue tells known scopes."""
    try:
        document = loads(source, max_bytes=MAX_BYTES)
    except StrictJSONError as exc:
        place = said("line %(line)s, column %(column)s", line=exc.line, column=exc.column)
        raise ManifestInvalid(errors=[ManifestError(place, exc.message)]) from exc
    if not isinstance(document, dict):
        raise ManifestInvalid(errors=[ManifestError("", said("the manifest must be a JSON object"))])
    return _Check(document, catalogue or catalogues.load()).result()


class _Check:
    """One pass over a document that collects errors and notices and only reads."""

    def __init__(self, document: dict[str, JSONValue], catalogue: Catalogue) -> None:
        self.document = document
        self.catalogue = catalogue
        self.errors: list[ManifestError] = []
        self.notices: list[ManifestNotice] = []

    def result(self) -> ParsedManifest:
        app_id = self._line("appId", MAX_APP_ID_LENGTH)
        name = self._line("name", MAX_NAME_LENGTH)
        version = self._version()
        description = self._description()
        permissions = self._permissions()
        entrypoint_url = self._url("entrypointURL")
        webhook_url = self._url("webhookURL")
        self._url("iconUrl")
        integration_points = self._object("integrationPoints")
        for field in ("author", "apiEndpoints", "configuration"):
            self._object(field)
        for field in ("categories", "tags"):
            self._texts(field)
        self._optional_text("platformVersion", MAX_VERSION_LENGTH)
        self._unknown_fields()
        self._identifier(app_id)
        self._display_name(name)
        if self.errors:
            raise ManifestInvalid(errors=self._reported_errors(), error_count=len(self.errors))
        return ParsedManifest(
            app_id=app_id,
            name=name,
            version=version,
            description=description,
            permissions=permissions,
            entrypoint_url=entrypoint_url,
            webhook_url=webhook_url,
            integration_points=integration_points,
            document=self.document,
            sha256=hashlib.sha256(canonical(self.document)).hexdigest(),
            notices=tuple(self.notices),
        )

    def _error(self, path: str, message: str) -> None:
        self.errors.append(ManifestError(path, message))

    def _notice(self, kind: NoticeKind, path: str, message: str) -> None:
        self.notices.append(ManifestNotice(kind, path, message))

    def _reported_errors(self) -> list[ManifestError]:
        more = len(self.errors) - MAX_ERRORS
        return self.errors[:MAX_ERRORS] + (
            [ManifestError("", said("and %(more)s more errors", more=more))] if more > 0 else []
        )

    def _required(self, field: str) -> JSONValue:
        value = self.document.get(field)
        if value is None:
            self._error(field, said("this field is required"))
        return value

    def _line(self, field: str, longest: int) -> str:
        """Return a required one-line text, or an empty text after recording what is wrong with it."""
        value = self._required(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._error(field, said("must be a text"))
        elif not value.strip():
            self._error(field, said("must not be empty"))
        elif len(value) > longest:
            self._error(field, said("must have at most %(longest)s characters", longest=longest))
        elif any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in value):
            self._error(field, said("must not contain control characters or line breaks"))
        else:
            return value
        return ""

    def _identifier(self, app_id: str) -> None:
        # The frontend sends the id at every launch, and it is compared exactly: what cannot be seen cannot be
        # matched.
        if app_id != app_id.strip() or _invisible(app_id):
            self._error("appId", said("must not start or end with a space or contain invisible characters"))

    def _display_name(self, name: str) -> None:
        if _invisible(name):
            self._notice("odd_characters", "name", said("contains invisible or direction-changing characters"))
        if len(name) > LISTING_NAME_LENGTH:
            self._notice(
                "long_name",
                "name",
                said(
                    "Flowlu lists at most %(listing_name_length)s characters", listing_name_length=LISTING_NAME_LENGTH
                ),
            )

    def _version(self) -> str:
        version = self._line("version", MAX_VERSION_LENGTH)
        if version and not _VERSION.fullmatch(version):
            self._error("version", said("must be Major.Minor.Patch in numbers, like 1.0.0"))
        return version

    def _optional_text(self, field: str, longest: int) -> str:
        value = self.document.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._error(field, said("must be a text"))
        elif len(value) > longest:
            self._error(field, said("must have at most %(longest)s characters", longest=longest))
        else:
            return value
        return ""

    def _description(self) -> str:
        return self._optional_text("description", MAX_DESCRIPTION_LENGTH)

    def _object(self, field: str) -> dict[str, JSONValue]:
        value = self.document.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._error(field, said("must be an object"))
            return {}
        return value

    def _texts(self, field: str) -> None:
        value = self.document.get(field)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            self._error(field, said("must be a list of texts"))

    def _permissions(self) -> tuple[str, ...]:
        value = self._required("permissions")
        if value is None:
            return ()
        if not isinstance(value, list):
            self._error("permissions", said("must be a list of texts"))
            return ()
        if len(value) > MAX_PERMISSIONS:
            self._error(
                "permissions", said("must have at most %(max_permissions)s entries", max_permissions=MAX_PERMISSIONS)
            )
            return ()
        permissions: list[str] = []
        for index, item in enumerate(value):
            path = f"permissions[{index}]"
            if not isinstance(item, str):
                self._error(path, said("must be a text"))
            elif not item:
                self._error(path, said("must not be empty"))
            elif len(item) > MAX_PERMISSION_LENGTH:
                self._error(
                    path,
                    said(
                        "must have at most %(max_permission_length)s characters",
                        max_permission_length=MAX_PERMISSION_LENGTH,
                    ),
                )
            else:
                permissions.append(item)
        # Places are counted over the whole list, so they are right only while no entry was left out.
        if len(permissions) == len(value):
            self.notices.extend(self._permission_notices(permissions))
        return tuple(permissions)

    def _permission_notices(self, permissions: list[str]) -> Iterator[ManifestNotice]:
        first_place: dict[str, int] = {}
        scopes: list[Scope | None] = []
        for index, text in enumerate(permissions):
            path = f"permissions[{index}]"
            if text in first_place:
                yield ManifestNotice(
                    "duplicate_scope",
                    path,
                    said("the same as permissions[%(first_place)s]", first_place=first_place[text]),
                    text,
                )
            first_place.setdefault(text, index)
            if _invisible(text) or not text.isprintable():
                message = said("contains invisible or direction-changing characters")
                yield ManifestNotice("odd_characters", path, message, text)
            scope = self._known_scope(text)
            if scope is None:
                yield ManifestNotice("unknown_scope", path, self.catalogue.describe(text).meaning, text)
            scopes.append(scope)
        parts = swallowed(scope for scope in scopes if scope is not None)
        for index, scope in enumerate(scopes):
            if scope is not None and scope.code in parts:
                message = said(
                    "has no effect beside %(parts)s, which counts with its own level", parts=parts[scope.code]
                )
                yield ManifestNotice("swallowed_scope", f"permissions[{index}]", message, permissions[index])

    def _known_scope(self, text: str) -> Scope | None:
        scope = read_scope(text)
        return scope if scope and self.catalogue.get(scope.code) is not None else None

    def _url(self, field: str) -> str | None:
        value = self.document.get(field)
        if value is None:
            return None
        if not isinstance(value, str):
            self._error(field, said("must be a text"))
            return None
        if len(value) > MAX_URL_LENGTH:
            self._error(field, said("must have at most %(max_url_length)s characters", max_url_length=MAX_URL_LENGTH))
            return None
        scheme_and_host = _scheme_and_host(value)
        if scheme_and_host is None:
            self._error(
                field,
                said("must be a complete address without spaces and sign-in data, like https://example.com/app"),
            )
            return None
        scheme, host = scheme_and_host
        if scheme == "http" and host in _LOCAL_HOSTS:
            self._notice("plain_http", field, said("is not encrypted; this is accepted on the local machine only"))
        elif scheme != "https":
            self._error(field, said("must start with https://"))
            return None
        return value

    def _unknown_fields(self) -> None:
        by_lower_case = {field.lower(): field for field in _KNOWN_FIELDS}
        for field in self.document:
            if field in _KNOWN_FIELDS:
                continue
            similar = by_lower_case.get(field.lower())
            words = (
                said("this field is not documented and is only kept; %(similar)s is meant?", similar=similar)
                if similar
                else said("this field is not documented and is only kept")
            )
            self._notice("unknown_field", field, words)


def _invisible(text: str) -> bool:
    """Find format characters (Cf: direction marks, joiners, soft hyphens), which change what people read."""
    return any(unicodedata.category(character) == "Cf" for character in text)


def _scheme_and_host(url: str) -> tuple[str, str] | None:
    # A backslash is a slash to browsers and a character to others: two readers, two hosts.
    if not _URL.fullmatch(url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it raises for a port that is none
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname
