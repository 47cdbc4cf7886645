"""Find leaked tokens by their fingerprints: the same statements for a hit as for a miss."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Max, OuterRef, Q, Subquery

from installations import scopes
from installations.models import ApprovedPermission, Installation
from installations.said import said
from tokens import vault
from tokens.leaks import LeakedLine
from tokens.models import ApiKey, EmbedSession, OAuthToken, ReplacedFingerprint, RevokedFingerprint, ServiceCall

_BATCH = 400  # fingerprints in one statement


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored credential, or what is left of one, and the lines that it was found in."""

    kind: str  # access token, refresh token or API key
    lines: Sequence[int]
    installation: Installation | None  # None: gone by a revocation of more than one
    scopes: Sequence[str]
    token: OAuthToken | None = None
    api_key: ApiKey | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None  # since when it is refused here
    revocation_id: int | None = None

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None


@dataclass(frozen=True, slots=True)
class Found:
    """What the lines hold that is known here."""

    lines: int
    hits: Sequence[Hit] = ()
    known_lines: frozenset[int] = frozenset()

    @property
    def live(self) -> list[Hit]:
        return [hit for hit in self.hits if hit.is_live]

    @property
    def unknown(self) -> int:
        return self.lines - len(self.known_lines)


@dataclass(slots=True)
class _Marks:
    """Which rows the fingerprints of the lines lead to, and from which lines."""

    tokens: dict[tuple[int, str], set[int]] = field(default_factory=dict)
    api_keys: dict[int, set[int]] = field(default_factory=dict)
    denied: dict[str, tuple[RevokedFingerprint, set[int]]] = field(default_factory=dict)


def search(lines: Sequence[LeakedLine]) -> Found:
    """Return what is known of the lines. Five statements for some hundred fingerprints, and six for all hits."""
    marks = _Marks()
    for batch in _batches(lines):
        _look_up(batch, marks)
    hits = sorted(_hits(marks), key=lambda hit: (not hit.is_live, hit.lines[0]))
    return Found(len(lines), hits, frozenset(number for hit in hits for number in hit.lines))


def _batches(lines: Iterable[LeakedLine]) -> Iterator[dict[str, set[int]]]:
    """Give the fingerprints of the pieces with the numbers of their lines; the pieces themselves end here."""
    batch: dict[str, set[int]] = {}
    for line in lines:
        for digest in vault.digests_of(*line.pieces):
            batch.setdefault(digest, set()).add(line.number)
        if len(batch) >= _BATCH:
            yield batch
            batch = {}
    yield batch


def _look_up(batch: dict[str, set[int]], marks: _Marks) -> None:
    digests = list(batch)
    for column, kind in (("access_fingerprint", said("access token")), ("refresh_fingerprint", said("refresh token"))):
        found = OAuthToken.objects.filter(**{f"{column}__in": digests}).values_list("pk", column)
        for pk, digest in found:
            marks.tokens.setdefault((pk, kind), set()).update(batch[digest])
    earlier = ReplacedFingerprint.objects.filter(fingerprint__in=digests).values_list("oauth_token_id", "fingerprint")
    for pk, digest in earlier:
        marks.tokens.setdefault((pk, said("earlier token of this lineage")), set()).update(batch[digest])
    for pk, digest in ApiKey.objects.filter(fingerprint__in=digests).values_list("pk", "fingerprint"):
        marks.api_keys.setdefault(pk, set()).update(batch[digest])
    denied = RevokedFingerprint.objects.filter(fingerprint__in=digests)
    for row in denied.select_related("revocation__installation__portal", "revocation__installation__application"):
        marks.denied[row.fingerprint] = (row, batch[row.fingerprint])


def _hits(marks: _Marks) -> Iterator[Hit]:
    tokens = {row.pk: row for row in _tokens({pk for pk, _kind in marks.tokens})}
    keys = {row.pk: row for row in _api_keys(set(marks.api_keys))}
    approved = _approved_scopes({row.installation_id for row in (*tokens.values(), *keys.values())})
    told: set[int] = set()
    for (pk, kind), lines in marks.tokens.items():
        row = tokens[pk]
        told |= lines
        yield Hit(
            kind,
            sorted(lines),
            row.installation,
            approved.get(row.installation_id, ()),
            token=row,
            last_used_at=max((at for at in (row.opened_at, row.called_at) if at), default=None),
            # What is denied and was not cut here is refused, and there is something left to cut all the same.
            revoked_at=row.revoked_at,
            revocation_id=row.revocation_id,
        )
    for pk, lines in marks.api_keys.items():
        key = keys[pk]
        told |= lines
        yield Hit(
            said("API key"),
            sorted(lines),
            key.installation,
            list(key.scopes),
            api_key=key,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
        )
    for row, lines in marks.denied.values():
        # A pair that was handed over and replaced since, or whose row is under another fingerprint by now.
        if not lines <= told:
            place = row.revocation.installation
            yield Hit("token", sorted(lines), place, (), revoked_at=row.revoked_at, revocation_id=row.revocation_id)


def _tokens(ids: set[int]) -> Any:
    opened = EmbedSession.objects.filter(oauth_token=OuterRef("pk")).order_by().values("oauth_token")
    called = ServiceCall.objects.filter(oauth_token=OuterRef("pk")).order_by("-at").values("at")[:1]
    return (
        OAuthToken.objects.filter(pk__in=ids)
        .select_related("portal_user__portal", "installation__portal", "installation__application")
        .defer("sealed_access_token", "sealed_refresh_token")
        .annotate(opened_at=Subquery(opened.annotate(last=Max("last_used_at")).values("last")))
        .annotate(called_at=Subquery(called))
    )


def _api_keys(ids: set[int]) -> Any:
    last = ServiceCall.objects.filter(api_key=OuterRef("pk")).order_by("-at").values("at")[:1]
    rows = ApiKey.objects.filter(pk__in=ids).defer("sealed_key").annotate(last_used_at=Subquery(last))
    return rows.select_related("installation__portal", "installation__application")


def _approved_scopes(installations: set[int]) -> dict[int, list[str]]:
    """Return what each installation may do, after swallowing. One statement."""
    found: dict[int, list[scopes.Scope]] = {}
    rows = ApprovedPermission.objects.in_force().filter(Q(installation__in=installations)).order_by("code")
    for row in rows:
        found.setdefault(row.installation_id, []).append(row.as_approval().scope)
    return {
        pk: [str(scopes.Scope(code, level)) for code, level in scopes.normalise(approved).items()]
        for pk, approved in found.items()
    }
