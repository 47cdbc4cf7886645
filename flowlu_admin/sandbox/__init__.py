"""A stand-in for Flowlu, for development and tests: portals, users, tokens, REST API, SDK and faults.

It imports neither Django nor the applications, and no application imports it: what is tested against it is tested over
HTTP only. `python -m flowlu_admin.sandbox --help` says how to start it.

Documented by Flowlu, and kept to here:
- the path `/api/v1/module/{module}/{model}/{action}[/{id}]`, GET and POST only, deletes that are GETs;
- the list envelope, both error shapes with HTTP 200, the error codes 10 to 31, `api_key` as a parameter;
- only an access token says who the user is; calls are held against approved scopes and against the user's own rights;
- a private application always reports version 1.0.0; nobody is told of an installation, an update or a removal;
- 401 for expired or missing tokens and for an API key where a user is needed, 403 for a scope that is not approved;
- a launch carries protocol, domain, language, integration point and id, application id and version, and no token.

Documented for the sibling product only (Aspro.Cloud), and taken over: the names in the SDK and in its context, refresh
through the parent window, the list parameters, 429 on a limit per second, `expires_at` as text without a zone.

Assumed, because no source says: `Authorization: Bearer`; `expires_at` in UTC and a lifetime of an hour; single-use
refresh tokens, with the old access token dead at the refresh; each opening of the application starts a pair of its own;
the names of the launch fields and that a launch is a POST; that GET for `create` or POST for `list` is refused with
code 30; that an unknown filter or order field is refused with code 12; which model answers with which of the two
validation shapes; the scopes `st`, `agile` and others that no list names; the SDK's wire format between the windows,
which is nobody's but ours; the token endpoint (`/oauth/token`, RFC 6749 §6) and the revocation endpoint
(`/oauth/revoke`, RFC 7009), neither of which Flowlu documents; and that a second use of a refresh token kills its
family. `variants.py` has other forms of what an application can notice; a portal takes them on over HTTP.
"""
