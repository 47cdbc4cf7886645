"""gunicorn for this service: threads for slow portals, and access logs without query strings.

A call waits for Flowlu while it holds a thread, so threads are many and processes few. WEB_CONCURRENCY and THREADS size
both. SQLite and the in-process cache allow one process only.
"""

import gc
import os
import resource
from typing import Any

# Whoever starts it: a core dump would hold every key in clear.
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

bind = f"{os.environ.get('BIND', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = int(os.environ.get("THREADS", "32"))
# Above FLOWLU_TOTAL_SECONDS, which checks.py bounds by graceful_timeout.
timeout = 45
graceful_timeout = 35
keepalive = 30
limit_request_line = 8190
limit_request_field_size = 8190
# TrustedProxyMiddleware decides whom to believe; gunicorn itself believes nobody.
forwarded_allow_ips = ""
accesslog = "-"
logger_class = "flowlu_admin.access_log.AccessLogger"
# %(U)s is the path alone: a query string may carry what must not be in a log. No referrer, for the same reason.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms %({x-request-id}o)s'
errorlog = "-"

# A socket that can stop workers is one more thing to guard; systemd and signals do.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Leave out of every later garbage collection what is there for good: all of the code.

    Going through it takes a tenth of a second, and whoever calls at that moment waits for it.
    """
    gc.collect()
    gc.freeze()
