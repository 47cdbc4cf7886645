"""A backend job: list a portal's accounts as one of its users, for a declared purpose, without holding a token.

SERVICE_KEY=fls_… python3 job.py user:com.example.desk@acme.flowlu.com/2
"""

import json
import os
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

SERVICE = os.environ.get("SERVICE", "http://127.0.0.1:8000")


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the key would go along, to whatever server it names."""

    def redirect_request(self, *_: object) -> None:
        return None


def accounts(act_as: str, purpose: str) -> list[dict[str, object]]:
    address = urlsplit(SERVICE)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
        sys.exit("SERVICE must be an https address: over plain http everybody on the way reads the key.")
    request = urllib.request.Request(
        f"{SERVICE}/service/v1/flowlu/crm/account/list?limit=20",
        headers={
            "Authorization": f"Bearer {os.environ['SERVICE_KEY']}",  # never an argument: others could read it there
            "X-Purpose": purpose,
            "X-Act-As": act_as,
        },
    )
    with urllib.request.build_opener(NoRedirects).open(request, timeout=40) as answer:
        return json.load(answer)["items"]


try:
    for account in accounts(sys.argv[1], "account-sync"):
        print(repr(account["name"]))  # somebody else wrote it: what would steer the terminal is shown as its code
except urllib.error.HTTPError as error:
    try:
        refusal = json.load(error)
        sys.exit(f"{error.code} {refusal['error']}: {refusal['error_description']}")
    except (ValueError, KeyError):
        sys.exit(f"{error.code}: that was not the service. Is SERVICE its address?")
