"""The composition root's configuration: system checks and the operator groups."""

from importlib import import_module

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.core import checks
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class OperatorAdminConfig(AdminConfig):
    """Django's admin with the console's own site as the one that everything registers on."""

    default_site = "flowlu_admin.admin_site.OperatorAdminSite"


class FlowluAdminConfig(AppConfig):
    name = "flowlu_admin"
    default = True
    verbose_name = _("Operators")

    def ready(self) -> None:
        from flowlu_admin import account_events, celery, cross_origin, open_sessions, second_factor, time_zones
        from flowlu_admin.checks import check_settings
        from flowlu_admin.notices.tasks import add_to_sweep
        from flowlu_admin.roles import make_groups
        from flowlu_admin.sealed_operators import SecondFactors, SignInSessions
        from tokens.sealed_models import register
        from tokens.services.keys import record_keys_after_migrate

        celery.app.set_default()
        account_events.connect()
        second_factor.connect()
        open_sessions.connect()
        cross_origin.connect()
        time_zones.connect()
        import_module("tokens.tasks")
        add_to_sweep()
        checks.register(check_settings, checks.Tags.security)
        register(SecondFactors())
        register(SignInSessions())
        # The signal of the uppermost app: by then the tables of both exist.
        migrated = apps.get_app_config("tokens")
        post_migrate.connect(record_keys_after_migrate, sender=migrated, dispatch_uid="flowlu_admin.record_keys")
        post_migrate.connect(make_groups, sender=migrated, dispatch_uid="flowlu_admin.make_groups")
