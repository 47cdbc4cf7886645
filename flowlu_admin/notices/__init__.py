"""Telling operators what waits or went wrong, by mail and webhook: docs/adr/0029."""
