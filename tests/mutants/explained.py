"""The mutants that no test can notice, each with its reason: they do what the code does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, named by its text: it is found again wherever its lines move inside the function."""

    function: str
    line: str
    instead: str


_BIG_ENDIAN = "`big` is the default of `to_bytes`. It is written out because it is part of the format."
_CODEC = "Python reads the names of codecs without regard to case."

EXPLAINED = {
    Mutant(
        "tokens.sealing.Context.encoded",
        'return b"".join(len(part).to_bytes(4, "big") + part for part in parts)',
        'return b"".join(len(part).to_bytes(4, ) + part for part in parts)',
    ): _BIG_ENDIAN,
    Mutant(
        "tokens.sealing._ContextSigner.__init__",
        'self._covered = len(covered).to_bytes(4, "big") + covered',
        "self._covered = len(covered).to_bytes(4, ) + covered",
    ): _BIG_ENDIAN,
    Mutant(
        "tokens.sealing.key_id_of",
        'key_id = data[2 : 2 + data[1]].decode("ascii")',
        'key_id = data[2 : 2 + data[1]].decode("ASCII")',
    ): _CODEC,
    Mutant(
        "tokens.sealing._head",
        'return bytes((VERSION, len(key.id))) + key.id.encode("ascii")',
        'return bytes((VERSION, len(key.id))) + key.id.encode("ASCII")',
    ): _CODEC,
}
