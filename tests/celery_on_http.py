"""The service's Celery app with plain http allowed, since the sandbox speaks nothing else.

A beat that is told so asks every second, and a worker takes what a dead one held after some seconds: tests wait for
neither a minute nor an hour.
"""

import os

from django.conf import settings

from flowlu_admin.celery import app

settings.DEBUG = True
if "TESTED_BEAT_SECONDS" in os.environ:
    app.conf.beat_schedule["sweep"]["schedule"] = float(os.environ["TESTED_BEAT_SECONDS"])
if "TESTED_REDELIVERY_SECONDS" in os.environ:
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "visibility_timeout": int(os.environ["TESTED_REDELIVERY_SECONDS"]),
    }

__all__ = ["app"]
