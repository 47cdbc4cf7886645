"""/api/schema: the OpenAPI document of the APIs, the same for everybody."""

from functools import cache

from django.conf import settings
from django.http import HttpResponse
from django.utils import translation
from django.utils.http import content_disposition_header
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class ApiDocumentView(SpectacularAPIView):
    """Answer with the document as YAML or JSON, whichever is asked for.

    It is made once for a process: that takes a tenth of a second, which a stranger would else take again and again from
    those who call. Parameters of the request change nothing.
    """

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        renderer = type(request.accepted_renderer)
        form = f"{renderer.media_type}; charset={renderer.charset}" if renderer.charset else renderer.media_type
        name = content_disposition_header(False, f"{settings.SPECTACULAR_SETTINGS['TITLE']}.{renderer.format}")
        written = _written(renderer)  # type: ignore[arg-type]  # its stubs do not know that a class has a hash
        return HttpResponse(written, content_type=form, headers={"Content-Disposition": name})


@cache
def _written(renderer: type[BaseRenderer]) -> str | bytes:
    with translation.override(settings.LANGUAGE_CODE):
        generator = ApiDocumentView.generator_class()
        document = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # not typed there
        return renderer().render(document, renderer.media_type, {})
