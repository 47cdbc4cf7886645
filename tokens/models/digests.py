"""The shape of hashes in columns."""

HEX_DIGEST = r"\A[0-9a-f]{64}\Z"
