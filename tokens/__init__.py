"""Upper app: sealed tokens, embed sessions, revocation and the current-user API."""
