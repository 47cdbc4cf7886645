"""The WSGI callable. It does not start with unsafe settings: gunicorn runs no system checks by itself."""

import os
import sys

import django
from django.core.checks import ERROR, run_checks

from flowlu_admin.wsgi_handler import Utf8Handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flowlu_admin.settings")
# gunicorn stops for good, instead of starting worker after worker, when one exits with this code.
WORKER_BOOT_ERROR = 3

django.setup()
_errors = [message for message in run_checks() if message.level >= ERROR and not message.is_silenced()]
if _errors:
    sys.stderr.write("The service does not start with these settings:\n")
    sys.stderr.writelines(f"  {message}\n" for message in _errors)
    raise SystemExit(WORKER_BOOT_ERROR)
application = Utf8Handler()
