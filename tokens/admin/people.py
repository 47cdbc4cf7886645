"""Who used an installation, and the pages that they have open, as tables on the pages of other objects."""

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from installations.admin.display import Table, badge, link, list_url, lock_badge, when
from installations.models import Installation, PortalUser
from tokens.admin.service_tables import person
from tokens.admin.tables import user_label
from tokens.models import EmbedSession, OAuthToken

_SHOWN = 50


def session_badge(row: EmbedSession) -> object:
    """Return the state of a session, whose token has to be read with it."""
    if row.ended_at:
        return badge(gettext("ended"), "gone")
    if row.oauth_token.state == OAuthToken.State.REVOKED:
        return badge(gettext("cut: token revoked"), "gone")
    return badge(gettext("open"), "good") if row.expires_at > timezone.now() else badge(gettext("over"), "gone")


def people_table(installation: Installation) -> Table:
    """Return the portal users of an installation, the last seen first. One statement."""
    here = Q(tokens__installation=installation)
    live = here & ~Q(tokens__state=OAuthToken.State.REVOKED)
    users = (
        PortalUser.objects.filter(pk__in=installation.tokens.values("portal_user"))
        .annotate(live=Count("tokens", filter=live), stored=Max("tokens__stored_at", filter=here))
        .order_by("-stored", "-pk")[:_SHOWN]
    )
    return Table(
        gettext("Portal users"),
        (
            gettext("User"),
            gettext("Role at the portal"),
            gettext("Live tokens here"),
            gettext("Last token stored"),
            gettext("Lock"),
        ),
        [
            (
                link(user, person(user)),
                badge(gettext("portal administrator"), "plain") if user.is_portal_admin else gettext("user"),
                user.live,
                when(user.stored),
                lock_badge(gettext("user locked")) if user.locked_at else "–",
            )
            for user in users
        ],
        gettext("Nobody opened it yet."),
        more_url=list_url(OAuthToken, f"installation__id__exact={installation.pk}"),
        more=gettext("All of their tokens"),
    )


def sessions_table(sessions: QuerySet[EmbedSession], query: str, *, without: str = "") -> Table:
    """Return the last sessions, the newest first. One statement. `without` names a column that says the same always."""
    rows = (
        sessions.defer("token_hash")
        .select_related(
            "oauth_token__portal_user",
            "oauth_token__installation__portal",
            "oauth_token__installation__application",
        )
        .defer("oauth_token__sealed_access_token", "oauth_token__sealed_refresh_token", "token_hash")
        .order_by("-created_at", "-pk")[:_SHOWN]
    )
    columns = (
        gettext("Session"),
        gettext("User"),
        gettext("Installation"),
        gettext("State"),
        gettext("Opened"),
        gettext("Last used"),
        gettext("Ends at the latest"),
    )
    shown = [name for name in columns if name != without]
    cells = []
    for row in rows:
        values = {
            gettext("Session"): link(row),
            gettext("User"): link(row.oauth_token.portal_user, user_label(row.oauth_token)),
            gettext("Installation"): link(row.oauth_token.installation),
            gettext("State"): session_badge(row),
            gettext("Opened"): when(row.created_at),
            gettext("Last used"): when(row.last_used_at),
            gettext("Ends at the latest"): when(row.expires_at),
        }
        cells.append([values[name] for name in shown])
    return Table(
        gettext("Sessions"),
        shown,
        cells,
        gettext("No session was opened, or those that were are over for long and were removed."),
        more_url=list_url(EmbedSession, query),
        more=gettext("Show in the list"),
    )
