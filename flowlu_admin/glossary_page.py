"""The page of the glossary: every term that the console explains in place, each with an address of its own."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from installations.glossary import TERMS


@require_safe
def glossary_view(request: HttpRequest) -> HttpResponse:
    """Show the terms by their words, for every operator: they say nothing of what is stored."""
    terms = sorted(TERMS.items(), key=lambda item: str(item[1].word).casefold())
    context = {**admin.site.each_context(request), "title": _("What the words mean"), "terms": terms}
    return TemplateResponse(request, "admin/glossary.html", context)
