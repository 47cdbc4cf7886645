"""The first page of the console. A template tag, since the admin site is made before the pages that this links to."""

from typing import Any

from django import template
from django.http import HttpRequest
from django.template import RequestContext
from django.urls import reverse

from flowlu_admin.home.charts import last_weeks
from flowlu_admin.home.needs import needs
from flowlu_admin.home.notes import notes
from installations import selectors
from installations.admin.display import list_url
from installations.models import Application, AuditEvent

register = template.Library()


@register.simple_tag(takes_context=True)
def overview(context: RequestContext) -> dict[str, Any]:
    """Return what the first page shows. At most thirty-five statements."""
    request: HttpRequest = context["request"]
    may = request.user.has_perm
    return {
        # The sort keeps the order of those of one tone.
        "needs": sorted(needs(may), key=lambda need: need.tone != "bad"),
        "notes": list(notes(request)),
        "weeks": last_weeks(request),
        "may_tell": may("installations.view_installation"),
        "is_empty": may("installations.view_application") and not Application.objects.exists(),
        "import_url": reverse("admin:installations_application_import") if may("installations.import_manifest") else "",
        "events": selectors.latest_events(count=10) if may("installations.view_auditevent") else None,
        "audit_url": list_url(AuditEvent),
    }
