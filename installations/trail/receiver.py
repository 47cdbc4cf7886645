"""Send an anchor to a receiver, which has to keep what it gets."""

from installations.errors import StateConflict
from installations.flowlu.posting import post_once


def send_anchor(url: str, text: str, *, allow_http: bool) -> None:
    """POST one anchor; raises StateConflict unless the receiver says that it took it.

    The address is set by whoever runs the service, so it may be a private one. No text of the receiver's is repeated.
    """
    posted = post_once(url, text.encode("ascii"), {}, allow_private=True, allow_http=allow_http)
    if posted.failure == "scheme":
        raise StateConflict("The receiver of anchors must be an https address.")
    if posted.failure == "address":
        raise StateConflict("The receiver of anchors must be an address without a user name in it.")
    if posted.failure:
        raise StateConflict("The receiver of anchors could not be reached. Nothing was anchored there.")
    if not posted.is_taken:
        raise StateConflict(f"The receiver of anchors answered {posted.status}. Nothing was anchored there.")
