"""What the scripts of the embed page say: a sentence for each error code, and the words of our own page.

`make messages` writes them in every language into `tokens/static/embed/tables.js`, which frontends of vendors use too.
`{name}` is filled in by the script; keys with `page.` belong to our own page, all others are error codes.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

# The languages that Flowlu's portals have and in which the page is complete; the first is what the code is written in.
LANGUAGES = ("en", "es", "pt", "ru")

TEXTS: Mapping[str, Promise] = MappingProxyType(
    {
        # Errors of the service
        "invalid_request": _(
            "The service did not understand this request. Reload the page; if it happens again, tell the vendor "
            "of this application."
        ),
        "invalid_session": _("Your session has ended. Reload the page to connect again."),
        "invalid_token": _(
            "Flowlu does not accept your sign-in for this application any more. Reload the portal and open the "
            "application again."
        ),
        "token_stale": _(
            "Flowlu does not take your sign-in any more and it could not be renewed. Reload the portal and open "
            "the application again."
        ),
        "token_revoked": _(
            "Your access through this service was revoked, by you or by an operator of the application’s vendor. "
            "You can connect again; if you are refused, ask the vendor."
        ),
        "insufficient_scope": _(
            "An operator of the application’s vendor has yet to approve this kind of access, or has withdrawn it."
        ),
        "installation_suspended": _(
            "The vendor has suspended this application on your portal. Nothing is lost. Ask your portal "
            "administrator or the vendor when it comes back."
        ),
        "installation_locked": _(
            "The vendor has locked this application for your portal. Ask your portal administrator to contact "
            "the vendor."
        ),
        "user_locked": _(
            "The vendor has locked your access to this application. Ask your portal administrator to contact the "
            "vendor."
        ),
        "origin_not_allowed": _(
            "This page may not use the application from its address. Ask the vendor of the application."
        ),
        "portal_not_allowed": _("This application is not offered on your portal. Ask the vendor of the application."),
        "application_unknown": _(
            "This service does not know the application you opened. Tell the vendor of the application."
        ),
        "flowlu_denied": _(
            "Flowlu does not let you see or do this. Ask your portal administrator for the right to it."
        ),
        "not_found": _("Flowlu has no such record; it may have been deleted. Go back and choose another one."),
        "flowlu_invalid": _("Flowlu did not accept what was entered. Check the marked fields and try again."),
        "rate_limited": _("Too many requests at once. Wait a little and try again."),
        "flowlu_error": _("Flowlu answered in a way this service does not understand. Try again in a few minutes."),
        "flowlu_unavailable": _("Your portal cannot be reached at the moment. Try again in a few minutes."),
        "flowlu_timeout": _("Your portal took too long to answer. Try again."),
        "user_mismatch": _("Another user is signed in to the portal now. Connect again to go on as that user."),
        "request_too_large": _("This is more than the service takes at once. Send less and try again."),
        "method_not_allowed": _(
            "The service does not take this request. Reload the page; if it happens again, tell the vendor of "
            "this application."
        ),
        "not_acceptable": _(
            "The service does not take this request. Reload the page; if it happens again, tell the vendor of "
            "this application."
        ),
        "unsupported_media_type": _(
            "The service does not take this request. Reload the page; if it happens again, tell the vendor of "
            "this application."
        ),
        "access_denied": _("This address is not open to you. Reload the portal and open the application again."),
        "server_error": _("Something failed in the service; its operators can see it. Try again in a few minutes."),
        # Errors of the client and of the SDK
        "network_error": _("The service cannot be reached. Check your connection and try again."),
        "timeout": _("The service took too long to answer. Try again."),
        "bad_answer": _("The service answered in a way this page does not understand. Try again in a few minutes."),
        "sdk_unavailable": _(
            "The portal did not answer this page. Open it inside a Flowlu portal; if it is there already, reload "
            "the portal."
        ),
        "refresh_failed": _(
            "The portal could not renew your sign-in. Reload the portal and open the application again."
        ),
        "not_open": _("This page is not connected. Connect to go on."),
        "unknown": _(
            "Something went wrong. Reload the page; if it happens again, tell the vendor of this application."
        ),
        # Our own page
        "page.connecting": _("Connecting to your portal…"),
        "page.connected": _("Connected."),
        "page.stopped": _("Access is stopped."),
        "page.not_connected": _("Not connected."),
        "page.not_embedded": _(
            "Open this page inside a Flowlu portal: choose the application there, and it shows up connected to "
            "your account."
        ),
        "page.portal_administrator": _("Portal administrator"),
        "page.portal_user": _("Portal user"),
        "page.status.pending_approval": _("Waiting for approval"),
        "page.status.active": _("Active"),
        "page.status.suspended": _("Suspended"),
        "page.status.uninstalled": _("Uninstalled"),
        "page.nothing_approved": _("Nothing is approved yet."),
        "page.accounts.loading": _("Loading accounts…"),
        "page.accounts.pending": _(
            "An operator of the application’s vendor has yet to approve access to CRM accounts, or has withdrawn it."
        ),
        "page.accounts.checking": _("This page looks again by itself every few seconds. Last looked at {time}."),
        "page.accounts.stopped": _("This page has stopped looking by itself. Last looked at {time}."),
        "page.accounts.still_pending": _("Not approved."),
        "page.accounts.empty": _("There are no CRM accounts that you may see."),
        "page.accounts.loaded": _("CRM accounts loaded."),
        "page.accounts.failed": _("The accounts could not be loaded."),
        "page.accounts.not_shown": _("Accounts are not shown while access is stopped."),
        "page.accounts.range": _("{first} to {last} of {total}"),
        "page.accounts.range_open": _("{first} to {last}"),
        "page.accounts.organisation": _("Organisation"),
        "page.accounts.contact": _("Contact"),
        "page.accounts.unnamed": _("(no name)"),
        "page.code": _("For the vendor: {code}"),
        "page.try_again": _("Try again"),
        "page.connect": _("Connect"),
        "page.connect_again": _("Connect again"),
        "page.disconnecting": _("Disconnecting…"),
        "page.disconnected": _("Disconnected. The copy of your access that this page handed over is deleted."),
    }
)

# By how many. In the browser that is `{count}`, so tables.js has all forms that a language knows.
COUNTED: Mapping[str, Callable[[int], str]] = MappingProxyType(
    {
        "page.retry_after": lambda count: ngettext(
            "You can try again in {count} second.", "You can try again in {count} seconds.", count
        ),
    }
)
