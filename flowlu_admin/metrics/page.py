"""/metrics: for who holds METRICS_TOKEN, and not there without that setting."""

import hmac
import logging

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from flowlu_admin.metrics.reading import Reading

logger = logging.getLogger(__name__)
_TEXT = "text/plain; charset=utf-8"


@csrf_exempt  # without the setting it is as every address that is none, whatever the method
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer whoever holds METRICS_TOKEN with every metric, or with none where one of them could not be read."""
    if not settings.METRICS_TOKEN:
        raise Http404
    return _to_holder(request)


@require_safe
def _to_holder(request: HttpRequest) -> HttpResponse:
    expected = f"Bearer {settings.METRICS_TOKEN}"
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
        return HttpResponse(
            "Send METRICS_TOKEN as a bearer token.\n",
            status=401,
            content_type=_TEXT,
            headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
        )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Reading())
    try:
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError:
        logger.exception("The metrics could not be read")
        return HttpResponse("The database does not answer as it should.\n", status=503, content_type=_TEXT)
