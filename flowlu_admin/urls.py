"""Every address of the service."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import bad_request as page_bad_request
from django.views.defaults import page_not_found
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from flowlu_admin import health
from flowlu_admin.api_document import ApiDocumentView
from flowlu_admin.metrics.page import metrics
from installations import request_ids
from tokens.api.errors import bad_request, not_found, server_error
from tokens.embed import embed_page


@csrf_exempt
def nothing_here(request: HttpRequest) -> HttpResponse:
    """Stand in for every address that is none, so that NotFoundMiddleware hears of it: the resolver's own goes past."""
    raise Http404


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False), name="home"),
    path("admin/", admin.site.urls),
    path("accounts/", include("flowlu_admin.accounts_urls")),
    path("api/v1/", include("tokens.api.urls")),
    path("api/schema", ApiDocumentView.as_view(), name="schema"),
    path(
        "api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="api/docs.html"), name="docs"
    ),
    re_path(r"^api/", not_found, name="api-not-found"),
    path("service/v1/", include("tokens.service_api.urls")),
    re_path(r"^service/", not_found, name="service-not-found"),
    path("embed/", embed_page, name="embed"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    re_path(r"", nothing_here, name="not-found"),
]


_APIS = ("/api/", "/service/")


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return bad_request(request) if request.path.startswith(_APIS) else page_bad_request(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(_APIS):
        return server_error()
    return HttpResponse(render_to_string("500.html", {"request_id": request_ids.current()}), status=500)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return not_found(request) if request.path.startswith(_APIS) else page_not_found(request, exception)
