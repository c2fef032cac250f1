"""What reading one document may cost, for both sides: ``effects.documents`` and the process that reads."""

from typing import Final

TIME_LIMIT_S: Final = 60.0
MAX_MEMORY_BYTES: Final = 1024 * 1024 * 1024
"""Address space of the process, libraries included."""
MAX_TEXT_BYTES: Final = 20 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 300 * 1024 * 1024
"""What the parts of a zipped document may have together once unpacked."""
MAX_PARTS: Final = 10_000

REFUSED_EXIT: Final = 3
"""The document is broken or refused; the reason is on stderr."""
OUT_OF_MEMORY_EXIT: Final = 4


class DocumentRefused(Exception):
    """A document cannot be read, for the reason in its text; never leaves the process that reads."""
