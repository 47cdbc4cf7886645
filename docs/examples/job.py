"""A backend job: list a portal's accounts as one of its users, for a declared purpose, without holding a token.

SERVICE_KEY=fls_… python3 job.py user:com.example.desk@acme.flowlu.com/2
"""

import json
import os
import sys
import urllib.error
import urllib.request

SERVICE = os.environ.get("SERVICE", "http://127.0.0.1:8000")


def accounts(act_as: str, purpose: str) -> list[dict[str, object]]:
    request = urllib.request.Request(
        f"{SERVICE}/service/v1/flowlu/crm/account/list?limit=20",
        headers={
            "Authorization": f"Bearer {os.environ['SERVICE_KEY']}",  # never an argument: others could read it there
            "X-Purpose": purpose,
            "X-Act-As": act_as,
        },
    )
    with urllib.request.urlopen(request, timeout=40) as answer:
        return json.load(answer)["items"]


try:
    for account in accounts(sys.argv[1], "account-sync"):
        print(account["name"])
except urllib.error.HTTPError as error:
    refusal = json.load(error)
    sys.exit(f"{error.code} {refusal['error']}: {refusal['error_description']}")
except urllib.error.URLError as error:
    sys.exit(f"{SERVICE} was not reached: {error.reason}")
