"""Background work: `celery -A flowlu_admin.celery worker`, and `beat` for the periodic part.

The broker is REDIS_URL. Without one nothing needs to run: tasks are done by whoever asks, and `manage.py sweep` does
the periodic jobs. Messages hold ids in JSON and nothing else. apps.py imports the tasks once Django is set up.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flowlu_admin.settings")

app = Celery("flowlu_admin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = {"sweep": {"task": "tokens.sweep", "schedule": 60.0, "options": {"expires": 55}}}
