"""What one run of code may use."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Limits of one run. ``time_s``: seconds from its start in the worker; waiting for a worker does not count.

    ``memory_bytes``: of the WebAssembly instance, of which Python itself takes about a third.
    """

    time_s: float = 30.0
    memory_bytes: int = 128 * MIB
    max_input_bytes: int = 8 * MIB
    max_output_characters: int = 4 * MIB
