"""The zone that an operator reads and writes times in: kept with the account, held by the session, else UTC."""

from datetime import tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest

from flowlu_admin.models import OperatorZone

DEFAULT = "UTC"
_HELD = "time_zone"  # in the session: a page needs no statement for it


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the zones to choose from: UTC, then places as the IANA database names them."""
    return (DEFAULT, *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def zone_of(request: HttpRequest) -> tzinfo:
    """Return the zone that the session holds; UTC for one that is unknown here by now."""
    name = request.session.get(_HELD)
    return ZoneInfo(name if name in names() else DEFAULT)


def choose(request: HttpRequest, name: str) -> None:
    """Keep the zone for the operator who asks: from now on in this session, elsewhere from the next sign-in."""
    OperatorZone.objects.update_or_create(operator_id=request.user.pk, defaults={"name": name})
    request.session[_HELD] = name


def connect() -> None:
    """Have each session hold the operator's zone from its sign-in on."""
    user_logged_in.connect(_hold, dispatch_uid="flowlu_admin.time_zones")


def _hold(request: HttpRequest, user: AbstractBaseUser, **_more: Any) -> None:
    name = OperatorZone.objects.filter(operator_id=user.pk).values_list("name", flat=True).first()
    if name:
        request.session[_HELD] = name
