"""Frontends of other origins."""

from tests.broken_rules.breakage import Breakage

_SET_ORIGINS = ("tests/installations/services/test_set_allowed_origins.py",)
_CROSS_ORIGIN = ("tests/tokens/api/test_cross_origin.py",)

ORIGINS = (
    Breakage(
        "origins: any page may use any session",
        "tokens/api/authentication.py",
        "        check_origin(caller.allowed_origins, foreign_origin(request))\n",
        "",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: any page may open a session",
        "tokens/services/sessions.py",
        "    check_origin(application.allowed_origins, origin)\n",
        "",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: the list is not read again after Flowlu was asked",
        "tokens/services/sessions.py",
        '        application.refresh_from_db(fields=["allowed_portals", "allowed_origins"])\n',
        '        application.refresh_from_db(fields=["allowed_portals"])\n',
        ("tests/tokens/services/test_sessions.py",),
    ),
    Breakage(
        "origins: the list is not read again after a refresh",
        "tokens/api/views.py",
        "        check_origin(caller.allowed_origins, foreign_origin(request))\n",
        "",
        ("tests/tokens/services/test_sessions.py",),
    ),
    Breakage(
        "origins: what any application allows is allowed for all",
        "tokens/access.py",
        "    if origin is not None and origin not in allowed:\n",
        "    if origin is not None and not allowed:\n",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: a page without an origin of its own counts as ours",
        "tokens/access.py",
        "    if origin is not None and origin not in allowed:\n",
        '    if origin not in (None, "null", *allowed):\n',
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: the scheme is no part of our own origin",
        "tokens/api/origins.py",
        'origin == f"{request.scheme}://{request.get_host()}".lower()',
        'origin.partition("//")[2] == request.get_host().lower()',
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: a refused page keeps a session alive",
        "tokens/api/authentication.py",
        "        check_origin(caller.allowed_origins, foreign_origin(request))\n",
        "        activity.note_use(caller)\n        check_origin(caller.allowed_origins, foreign_origin(request))\n",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: browsers may send credentials along",
        "flowlu_admin/settings.py",
        "CORS_ALLOW_CREDENTIALS = False\n",
        "CORS_ALLOW_CREDENTIALS = True\n",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: pages of every origin may read answers",
        "flowlu_admin/settings.py",
        "CORS_ALLOW_ALL_ORIGINS = False\n",
        "CORS_ALLOW_ALL_ORIGINS = True\n",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: every address of the service answers pages of other origins",
        "flowlu_admin/cross_origin.py",
        'request.path_info.startswith(API) and request.headers.get("Origin", "") in known',
        'request.headers.get("Origin", "") in known',
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: each stranger's request asks the database",
        "flowlu_admin/cross_origin.py",
        "KEPT_SECONDS: Final = 5\n",
        "KEPT_SECONDS: Final = 0\n",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: a database that is away costs an answer",
        "flowlu_admin/cross_origin.py",
        "        except Error:\n",
        "        except KeyError:\n",
        _CROSS_ORIGIN,
    ),
    Breakage(
        "origins: what browsers know of includes locked applications",
        "installations/cross_origin.py",
        "Application.objects.filter(locked_at__isnull=True).exclude",
        "Application.objects.exclude",
        _SET_ORIGINS,
    ),
    Breakage(
        "origins: a stale page overwrites the list",
        "installations/cross_origin.py",
        '        check_seen(seen, before, said("The list of origins of %(app_id)s", app_id=application.app_id))\n',
        "",
        _SET_ORIGINS,
    ),
    Breakage(
        "origins: anybody on the staff may allow one",
        "installations/cross_origin.py",
        '    actor.require("installations.configure_application")\n',
        "",
        _SET_ORIGINS,
    ),
    Breakage(
        "origins: plain http is taken",
        "installations/origins.py",
        '    if scheme != "https":\n',
        '    if scheme == "ws":\n',
        ("tests/installations/test_origins.py",),
    ),
    Breakage(
        "origins: the machine of whoever looks is taken without DEBUG",
        "installations/origins.py",
        "        if not local:\n",
        "        if False:\n",
        ("tests/installations/test_origins.py",),
    ),
)
