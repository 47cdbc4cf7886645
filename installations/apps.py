"""The lower app's configuration."""

from django.apps import AppConfig


class InstallationsConfig(AppConfig):
    name = "installations"
    verbose_name = "Installations and approvals"
