"""The current-user API: entry point of the embedded frontend."""
