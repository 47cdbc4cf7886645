"""The service's Celery app with plain http allowed, since the sandbox speaks nothing else."""

from django.conf import settings

from flowlu_admin.celery import app

settings.DEBUG = True

__all__ = ["app"]
