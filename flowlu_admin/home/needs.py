"""What needs an operator now: each thing with how many there are, how long the oldest waits, and where to go."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from flowlu_admin.home.items import Item, item, recently, since
from flowlu_admin.notices.models import NoticeDelivery
from installations import editions, reviews, selectors
from installations.admin.display import list_url
from installations.admin.text import sentences
from installations.four_columns import utc_today
from installations.models import (
    ApprovalRequest,
    AuditEvent,
    BreakGlass,
    CatalogueEdition,
    Installation,
    Liveness,
    Review,
)
from installations.trail.state import last_findings
from tokens.models import ApiKey, Revocation, SweepRun, UpstreamRevocation

_STUCK = timedelta(minutes=5)  # a batch of a revocation takes seconds
_NO_SWEEP = timedelta(minutes=15)  # every job that is due runs once a minute


def needs(may: Callable[[str], bool]) -> Iterator[Item]:
    """Give what needs somebody, as far as who asks `may` see it, in the order in which to look at it."""
    if may("installations.view_auditevent"):
        yield from _trail()
    if may("installations.view_installation"):
        yield from _installations()
    if may("installations.view_approvalrequest"):
        yield from item(
            selectors.waiting_for_second_operator(),
            lambda count: ngettext(
                "%(count)s approval waits for a second operator",
                "%(count)s approvals wait for a second operator",
                count,
            ),
            gettext("Whoever asked cannot confirm it."),
            ApprovalRequest,
            "state=waiting",
            "wait",
        )
    if may("installations.view_breakglass"):
        yield from item(
            selectors.unseen_break_glass(),
            lambda count: ngettext(
                "%(count)s approval of high risk was made by one operator alone",
                "%(count)s approvals of high risk were made by one operator alone",
                count,
            ),
            gettext("Nobody else looked at it yet."),
            BreakGlass,
            "looked_at=no",
            "bad",
        )
    if may("installations.view_catalogueedition"):
        yield from _catalogue()
    if may("installations.view_installation") and may("installations.view_approvedpermission"):
        yield from _reviews()
    if may("tokens.view_revocation"):
        yield from _revocations()
    if may("tokens.view_upstreamrevocation"):
        unconfirmed = UpstreamRevocation.objects.filter(state=UpstreamRevocation.State.IRREVOCABLE)
        yield from item(
            selectors.waiting(unconfirmed, "created_at"),
            lambda count: ngettext(
                "%(count)s revocation is not confirmed by Flowlu",
                "%(count)s revocations are not confirmed by Flowlu",
                count,
            ),
            gettext("Here the tokens are cut; at Flowlu they may live on. Try again, or have the cases closed."),
            UpstreamRevocation,
            "state__exact=irrevocable",
            "bad",
        )
    if may("tokens.view_apikey"):
        alive = ApiKey.objects.filter(state=ApiKey.State.REVOKED, deletion_confirmed_at__isnull=True)
        yield from item(
            selectors.waiting(alive, "revoked_at"),
            lambda count: ngettext(
                "%(count)s revoked API key is not confirmed to be deleted at Flowlu",
                "%(count)s revoked API keys are not confirmed to be deleted at Flowlu",
                count,
            ),
            gettext("Only an administrator of the portal can delete one."),
            ApiKey,
            "state__exact=revoked&deletion_confirmed_at__isnull=True",
            "wait",
        )
    if may("flowlu_admin.view_noticedelivery"):
        failed = NoticeDelivery.objects.filter(state=NoticeDelivery.State.FAILED, ended_at__gte=recently())
        yield from item(
            selectors.waiting(failed, "ended_at"),
            lambda count: ngettext(
                "%(count)s notice to operators or a webhook was given up in the last 7 days",
                "%(count)s notices to operators or a webhook were given up in the last 7 days",
                count,
            ),
            gettext("Who should have been told was not. The list says why."),
            NoticeDelivery,
            "state__exact=failed",
            "bad",
        )
    if may("installations.view_installation"):
        yield from _jobs()


def _installations() -> Iterator[Item]:
    yield from item(
        selectors.pending_installations(),
        lambda count: ngettext(
            "%(count)s installation waits for approval", "%(count)s installations wait for approval", count
        ),
        gettext("Until then every call of theirs is refused."),
        Installation,
        "status__exact=pending_approval",
        "wait",
    )
    yield from item(
        selectors.asking_for_more(),
        lambda count: ngettext(
            "%(count)s installation needs a decision about more scopes",
            "%(count)s installations need a decision about more scopes",
            count,
        ),
        gettext("A new manifest asks for more, or a policy left the rest to you. What is approved goes on meanwhile."),
        Installation,
        "decision=anew",
        "wait",
        gettext("The oldest of these manifests has been here for %(age)s."),
    )
    yield from item(
        selectors.suspected_removals(),
        lambda count: ngettext(
            "%(count)s installation is suspected to be removed",
            "%(count)s installations are suspected to be removed",
            count,
        ),
        gettext(
            "Flowlu refused their tokens, or their portal was not reached. Only you can say whether they are gone."
        ),
        Installation,
        f"liveness={Liveness.State.SUSPECTED}",
        "wait",
    )


def _catalogue() -> Iterator[Item]:
    known = editions.as_stored()
    if known.damage:
        yield Item(
            gettext("Edition %(edition)s of the scope catalogue is damaged") % {"edition": known.edition},
            gettext(
                "Nobody can say what a scope allows, so calls are refused. Import an export or an older edition, and "
                "find out who can write to the database."
            ),
            list_url(CatalogueEdition),
            "bad",
        )


def _trail() -> Iterator[Item]:
    found = last_findings()
    if found:
        yield Item(
            ngettext(
                "The audit trail is broken: %(count)s finding",
                "The audit trail is broken: %(count)s findings",
                found.count,
            )
            % {"count": f"{found.count:,}"},
            gettext(
                "The last verification, %(at)s ago, says so. Run manage.py verify_audit to see each, and find out who "
                "can write to the database."
            )
            % {"at": since(found.at)},
            list_url(AuditEvent),
            "bad",
        )
    yield from item(
        selectors.waiting(
            AuditEvent.objects.filter(verb="token.undecryptable", occurred_at__gte=recently()), "occurred_at"
        ),
        lambda count: ngettext(
            "%(count)s token did not unseal in the last 7 days",
            "%(count)s tokens did not unseal in the last 7 days",
            count,
        ),
        gettext("A key is missing or a row was damaged. Check TOKEN_KEYS before anything else."),
        AuditEvent,
        "verb=token.undecryptable",
        "bad",
        gettext("It began %(age)s ago."),
    )


def _reviews() -> Iterator[Item]:
    """Give what is to be looked at again. Six statements at most."""
    found = reviews.reviews_waiting()
    if found.due:
        unused = (
            ngettext(
                "%(count)s more can be lowered or withdrawn: unused.",
                "%(count)s more can be lowered or withdrawn: unused.",
                found.unused,
            )
            % {"count": selectors.counted(found.unused, reviews.MOST_UNUSED)}
            if found.unused
            else ""
        )
        yield Item(
            ngettext("%(count)s approval is due for review", "%(count)s approvals are due for review", found.due)
            % {"count": selectors.counted(found.due)},
            sentences(_oldest(found.oldest), unused, gettext("Keep, lower or withdraw each.")),
            list_url(Review),
            "wait",
        )
    elif found.unused:
        yield Item(
            ngettext(
                "%(count)s approval can be lowered or withdrawn",
                "%(count)s approvals can be lowered or withdrawn",
                found.unused,
            )
            % {"count": selectors.counted(found.unused, reviews.MOST_UNUSED)},
            gettext(
                "Nobody uses what is approved, or it is only read. A proposal is gone with the next call that uses it."
            ),
            list_url(Review, "what=unused"),
            "wait",
        )


def _oldest(day: date | None) -> str:
    """Say how long ago a day of review was."""
    late = (utc_today() - day).days if day else 0
    if not late:
        return gettext("The oldest since today.")
    return ngettext("The oldest for %(count)s day.", "The oldest for %(count)s days.", late) % {"count": f"{late:,}"}


def _revocations() -> Iterator[Item]:
    """Give what is left to do of the ledger. Three statements."""
    let_in = Revocation.objects.filter(probe=Revocation.Probe.LET_IN, probed_at__gte=recently())
    yield from item(
        selectors.waiting(let_in, "probed_at"),
        lambda count: ngettext(
            "%(count)s revocation did not hold when tried, in the last 7 days",
            "%(count)s revocations did not hold when tried, in the last 7 days",
            count,
        ),
        gettext("A probe was let in. Lock what was aimed at, now, and report it."),
        Revocation,
        "probe__exact=let_in",
        "bad",
        gettext("The first time %(age)s ago."),
    )
    stuck = Revocation.objects.filter(state=Revocation.State.RUNNING, cut_at__lt=timezone.now() - _STUCK)
    yield from item(
        selectors.waiting(stuck, "cut_at"),
        lambda count: ngettext("%(count)s revocation is not finished", "%(count)s revocations are not finished", count),
        gettext("The page of each says how to go on."),
        Revocation,
        "state__exact=running",
        "bad",
        gettext("Nothing was cut for %(age)s."),
    )
    yield from item(
        selectors.waiting(Revocation.objects.filter(portal_step=Revocation.PortalStep.OPEN), "cut_at"),
        lambda count: ngettext(
            "%(count)s revocation waits for a step at Flowlu", "%(count)s revocations wait for a step at Flowlu", count
        ),
        gettext("The portal's administrator takes the access away there; record it when you were told so."),
        Revocation,
        "portal_step__exact=open",
        "wait",
    )


def _jobs() -> Iterator[Item]:
    """Give the periodic jobs that fail, and that none runs. One statement."""
    runs = list(SweepRun.objects.order_by("failing_since", "name"))
    last = max((run.started_at for run in runs if run.started_at), default=None)
    if last and timezone.now() - last > _NO_SWEEP:
        yield Item(
            gettext("No periodic job ran for %(last)s") % {"last": since(last)},
            gettext(
                "Nothing is refreshed, wiped, anchored or told to Flowlu meanwhile. Start Celery's worker and beat, "
                "or manage.py sweep."
            ),
            reverse("admin:state"),
            "bad",
        )
    for run in runs:
        if run.failing_since:
            yield Item(
                gettext("The periodic job %(run)s fails") % {"run": run.name},
                _failing(run.name, run.failing_since),
                reverse("admin:state"),
                "bad",
            )


def _failing(name: str, began: datetime) -> str:
    words = gettext("For %(began)s. The reason is in the log of what runs manage.py sweep or Celery's worker.") % {
        "began": since(began)
    }
    if name == "anchor_audit":
        anchor = gettext(
            "An anchor that does not fit means that the trail was shortened or rewritten: manage.py verify_audit."
        )
        return sentences(words, anchor)
    return words
