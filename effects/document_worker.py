"""The process that reads one document: ``python -m effects.document_worker KIND LIMITS < document > text``.

It limits itself before it reads a byte: memory, processor time, no files to write. Its environment is empty.
"""

import json
import resource
import sys

from effects.document_limits import MAX_TEXT_BYTES, OUT_OF_MEMORY_EXIT, REFUSED_EXIT, DocumentRefused
from effects.document_text import TEXT_READERS
from effects.office_text import OFFICE_READERS


def limit_self(memory_bytes: int, time_s: float) -> None:
    """Give up what this process does not need."""
    seconds = int(time_s) + 1
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(kind: str, limits: str) -> int:
    """Read the document on stdin and write its text to stdout.

    Returns:
        The exit code; a reason is on stderr.
    """
    parsed = json.loads(limits)
    limit_self(parsed["memory_bytes"], parsed["time_s"])
    try:
        text = {**TEXT_READERS, **OFFICE_READERS}[kind](sys.stdin.buffer.read())
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_TEXT_BYTES:
            raise DocumentRefused(f"its text is too long: more than {MAX_TEXT_BYTES // (1024 * 1024)} MB")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except MemoryError:
        return OUT_OF_MEMORY_EXIT
    except DocumentRefused as error:
        sys.stderr.write(str(error)[:1000])
        return REFUSED_EXIT
    except Exception as error:  # boundary: a library met a document that is not what it should be  # noqa: BLE001
        sys.stderr.write(f"it is no readable {kind.upper()} file ({type(error).__name__}: {error})"[:1000])
        return REFUSED_EXIT
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
