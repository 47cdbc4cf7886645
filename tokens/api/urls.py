"""Addresses of the current-user API, below /api/v1/. None ends in a slash."""

from django.urls import path, re_path

from tokens.api import views

app_name = "api"
urlpatterns = [
    path("session", views.SessionView.as_view(), name="session"),
    path("session/token", views.SessionTokenView.as_view(), name="session-token"),
    path("permissions", views.PermissionsView.as_view(), name="permissions"),
    # Everything below flowlu/ is ours to judge: what is no call is a 400 for whoever has a session.
    re_path(r"^flowlu/(?P<path>.*)$", views.ForwardView.as_view(), name="forward"),
]
