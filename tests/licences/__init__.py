"""The licences of what is pinned, as docs/licences.md lists them."""
