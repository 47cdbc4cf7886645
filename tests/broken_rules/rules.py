"""Each rule of the service, the smallest change that breaks it, and the tests that have to notice: by subject."""

from tests.broken_rules.approval import APPROVAL
from tests.broken_rules.audit import AUDIT
from tests.broken_rules.backend import BACKEND
from tests.broken_rules.console import CONSOLE
from tests.broken_rules.cutting import CUT
from tests.broken_rules.deployment import DEPLOYMENT
from tests.broken_rules.hosts import HOSTS
from tests.broken_rules.identity import IDENTITY
from tests.broken_rules.keys import KEYS
from tests.broken_rules.liveness import LIVENESS
from tests.broken_rules.notices import NOTICES
from tests.broken_rules.origins import ORIGINS
from tests.broken_rules.races import RACES
from tests.broken_rules.refreshing import REFRESH
from tests.broken_rules.secrecy import SECRETS
from tests.broken_rules.wire import WIRE

BREAKAGES = (
    *AUDIT,
    *IDENTITY,
    *APPROVAL,
    *CUT,
    *SECRETS,
    *WIRE,
    *CONSOLE,
    *KEYS,
    *RACES,
    *REFRESH,
    *BACKEND,
    *LIVENESS,
    *ORIGINS,
    *NOTICES,
    *DEPLOYMENT,
    *HOSTS,
)
