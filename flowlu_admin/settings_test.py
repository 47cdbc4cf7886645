"""Settings of the test suite: throw-away keys, a fast hasher and static files on demand; nothing else differs."""

import base64
import os
import tempfile
from pathlib import Path

os.environ["DEBUG"] = "0"
os.environ.setdefault("SECRET_KEY", "test-only " * 8)
os.environ.setdefault("TOKEN_KEYS", "k1:" + base64.b64encode(bytes(range(32))).decode())
os.environ.setdefault("FINGERPRINT_KEY", base64.b64encode(bytes(range(32, 64))).decode())
os.environ.setdefault("AUDIT_KEY", base64.b64encode(bytes(range(64, 96))).decode())
os.environ.setdefault("ALLOWED_HOSTS", "testserver,localhost,127.0.0.1")
os.environ.setdefault("PUBLIC_URL", "https://testserver")
# The suite never touches the data of a developer's own run.
os.environ["VAR_DIR"] = str(Path(tempfile.gettempdir()) / f"flowlu-admin-tests-{os.getuid()}")

from flowlu_admin.settings import *  # noqa: E402,F403  (the environment has to be set first)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False
# So that commands run with these settings, the two lines above among them, and print their own lines only.
SILENCED_SYSTEM_CHECKS = ["flowlu_admin.E008", "flowlu_admin.W001"]
if "postgresql" in DATABASES["default"]["ENGINE"]:  # noqa: F405
    # What a test committed need not outlive the machine, and plans of tiny tables are not worth compiling.
    DATABASES["default"]["OPTIONS"]["options"] = "-c synchronous_commit=off -c jit=off"  # noqa: F405
HANDSHAKE_RATE = "0"
CALL_RATE = "0"
SERVICE_RATE = "0"
OPERATOR_MFA = "optional"
SENDS_MAIL = True  # pytest-django keeps what is sent in memory
DEFAULT_FROM_EMAIL = "console@example.com"
FOUR_EYES = "off"

# Else each new test client looks through all static files first, which took half of the suite's time.
WHITENOISE_AUTOREFRESH = True
