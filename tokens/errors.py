"""What can go wrong with a sealed value. Errors that a caller of the API sees are in `installations.errors`."""


class UnsealFailed(Exception):
    """A stored value could not be unsealed.

    `reason` is one of malformed, unknown_version, unknown_key, tampered. The text holds no part of the value.
    """

    def __init__(self, reason: str, *, key_id: str | None = None) -> None:
        super().__init__(reason if key_id is None else f"{reason} (key {key_id!r})")
        self.reason = reason
        self.key_id = key_id
