"""Paths of the service API below /service/v1/. No trailing slash."""

from django.urls import re_path

from tokens.service_api.views import ServiceForwardView

app_name = "service"
urlpatterns = [re_path(r"^flowlu/(?P<path>.*)$", ServiceForwardView.as_view(), name="forward")]
