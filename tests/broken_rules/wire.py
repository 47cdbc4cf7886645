"""What is sent to Flowlu, and what is taken from it."""

from tests.broken_rules.breakage import Breakage
from tests.broken_rules.suites import HOSTILE

FAULTS = ("tests/security/test_faults.py",)

WIRE = (
    Breakage(
        "wire: redirects are followed",
        "installations/flowlu/client.py",
        "                redirect=False,\n                retries=False,",
        "                redirect=True,\n                retries=__import__('urllib3').Retry(0, redirect=3),",
        (*FAULTS, "-k", "redirect"),
    ),
    Breakage(
        "wire: a failed call is tried again",
        "installations/flowlu/client.py",
        "                redirect=False,\n                retries=False,",
        "                redirect=False,\n                retries=2,",
        FAULTS,
    ),
    Breakage(
        "wire: no deadline over all steps",
        "installations/flowlu/pool.py",
        "        left = self.deadline - time.monotonic()\n",
        "        left = self.step\n",
        (*FAULTS, "-k", "drip and first"),  # the shortest answer that drips: without a deadline it takes its time
    ),
    Breakage(
        "wire: an answer may be of any size",
        "installations/flowlu/client.py",
        "                if size > self._limits.body:",
        "                if size < 0:",
        FAULTS,
    ),
    Breakage(
        "wire: private addresses are called",
        "installations/flowlu/pool.py",
        "        if not self.allow_private and not all(is_public(str(info[4][0])) for info in found):",
        "        if not found:",
        (*HOSTILE, "tests/installations/flowlu"),
    ),
    Breakage(
        "wire: one public address among private ones is enough",
        "installations/flowlu/pool.py",
        "not all(is_public(",
        "not any(is_public(",
        (*HOSTILE, "tests/installations/flowlu"),
    ),
    Breakage(
        "wire: a portal that is gone is asked by every call",
        "installations/flowlu/client.py",
        "        self._breaker.admit(portal)\n",
        "",
        (*FAULTS, "-k", "gone"),
    ),
    Breakage(
        "wire: a portal that answers badly or late is not asked either",
        "installations/flowlu/client.py",
        "            if not clock.sent and not clock.connected and not isinstance(exc, AddressRefused):",
        "            if True:",
        ("tests/installations/flowlu/test_breaker.py",),
    ),
    Breakage(
        "wire: a pair is refreshed for a portal that is not asked",
        "installations/flowlu/client.py",
        "        self._breaker.check(portal)\n",
        "",
        ("tests/tokens/services/test_freshness.py",),
    ),
    Breakage(
        "wire: a portal of another domain is called",
        "installations/portals.py",
        '        if ending == "." or not host.endswith(ending):\n            continue\n'
        "        if not _LABEL.fullmatch(host.removesuffix(ending)):",
        '        if ending == "." or ending not in host:\n            continue\n'
        "        if not _LABEL.fullmatch(host.partition(ending)[0]):",
        HOSTILE,
    ),
)
