"""The page where operators choose the zone that they read and write times in."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowlu_admin import time_zones


class TimeZoneForm(forms.Form):
    zone = forms.ChoiceField(label=_("Time zone"), choices=lambda: [(name, name) for name in time_zones.names()])


@login_required
def time_zone(request: HttpRequest) -> HttpResponse:
    """Show the choice; keep it for the operator who asks, and for nobody else."""
    form = TimeZoneForm(request.POST or None, initial={"zone": str(timezone.get_current_timezone())})
    if request.method == "POST" and form.is_valid():
        zone = form.cleaned_data["zone"]
        time_zones.choose(request, zone)
        messages.success(request, gettext("Times are shown in %(zone)s from now on.") % {"zone": zone})
        return redirect("account_time_zone")
    return render(request, "account/time_zone.html", {"form": form, "now": timezone.now()})
