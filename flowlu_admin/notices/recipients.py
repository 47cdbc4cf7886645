"""Who is told of what: active operators who may see it, as they chose, by mail; and every webhook that is set."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User

from flowlu_admin.notices.kinds import How, Kind, how_told
from flowlu_admin.notices.models import NoticeChoice


@dataclass(frozen=True, slots=True)
class Webhook:
    """A configured address. It is a secret of its own at most receivers, so it is named by its digest and host."""

    url: str
    digest: str

    @property
    def recipient(self) -> str:
        return f"webhook:{self.digest}"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def __repr__(self) -> str:
        return f"Webhook({self.host})"


def webhooks() -> list[Webhook]:
    """Return the configured webhooks, in their order."""
    urls = [part.strip() for part in settings.NOTICE_WEBHOOK_URL.split(",") if part.strip()]
    return [Webhook(url, sha256(url.encode()).hexdigest()[:16]) for url in dict.fromkeys(urls)]


def operator_recipient(operator: User) -> str:
    return f"mail:{operator.pk}"


@dataclass(frozen=True, slots=True)
class Reader:
    """An operator who is told by mail, with what they chose."""

    operator: User
    chosen: dict[str, str]

    def how(self, kind: Kind) -> How:
        """Return how they are told of a kind. Two statements, once for each operator."""
        return how_told(kind, self.operator.has_perm, self.chosen)


def reader(operator_id: int | None) -> Reader | None:
    """Return the operator if they are still told anything: active, staff, and with a mail address."""
    return next(_readers(operator_id), None) if operator_id is not None else None


def readers() -> list[Reader]:
    """Return every operator who is told by mail; nobody where no mail is sent. Two statements."""
    return list(_readers(None)) if settings.SENDS_MAIL else []


def choices_of(operator: User) -> dict[str, str]:
    return dict(NoticeChoice.objects.filter(operator=operator).values_list("kind", "how"))


def _readers(only: int | None) -> Iterator[Reader]:
    operators = User.objects.filter(is_active=True, is_staff=True).exclude(email="").order_by("pk")
    choices = NoticeChoice.objects.all()
    if only is not None:
        operators, choices = operators.filter(pk=only), choices.filter(operator=only)
    chosen: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for pk, kind, how in choices.values_list("operator", "kind", "how"):
        chosen[pk][kind] = how
    for operator in operators:
        yield Reader(operator, chosen[operator.pk])
