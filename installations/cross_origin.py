"""Which pages may use an application from their own origin: the verb that says so, and the origins of all of them."""

from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

from installations import audit
from installations.actors import Actor, clean_reason
from installations.errors import InvalidRequest
from installations.models import Application
from installations.origins import MAX_ORIGINS, normalise_origins
from installations.said import said
from installations.seen import check_seen


def set_allowed_origins(
    *, application_id: int, origins: Sequence[str], actor: Actor, reason: str, seen: str | None = None
) -> bool:
    """Make these the origins whose pages may use an application. Returns whether anything changed.

    Holds from its commit on, for sessions that are open too: each request is checked by what the list is then. The same
    list again is no event.

    Raises NotPermitted, ReasonRequired, InvalidRequest naming each text that is no origin or saying that there are too
    many, StateConflict when the list is not what was `seen` (a digest of `origins_of`) any more.
    """
    actor.require("installations.configure_application")
    why = clean_reason(reason)
    wanted = _checked(origins)
    with transaction.atomic(durable=True):
        application = Application.objects.select_for_update(no_key=True).get(pk=application_id)
        before = origins_of(application)
        if before["allowed_origins"] == wanted:
            return False
        check_seen(seen, before, said("The list of origins of %(app_id)s", app_id=application.app_id))
        application.allowed_origins = wanted
        application.save(update_fields=["allowed_origins"])
        audit.append(
            actor,
            audit.Event(
                "application.origins_set",
                "application",
                application.app_id,
                reason=why,
                details={"before": before, "after": origins_of(application)},
            ),
        )
    return True


def origins_of(application: Application) -> dict[str, object]:
    """Return the list as an operator saw it."""
    return {"allowed_origins": application.allowed_origins}


def origins_of_all() -> frozenset[str]:
    """Return every origin that some application allows, locked ones left out. One statement."""
    lists = Application.objects.filter(locked_at__isnull=True).exclude(allowed_origins=[])
    return frozenset(origin for origins in lists.values_list("allowed_origins", flat=True) for origin in origins)


def _checked(origins: Sequence[str]) -> list[str]:
    found, wrong = normalise_origins(origins, local=settings.DEBUG)
    if wrong:
        raise InvalidRequest(said("These are not origins that can be allowed."), fields=wrong)
    if len(found) > MAX_ORIGINS:
        raise InvalidRequest(
            said("These are too many origins."),
            fields={
                "origins": said(
                    "may be %(max_origins)s at most, and these are %(count)s", max_origins=MAX_ORIGINS, count=len(found)
                )
            },
        )
    return found
