"""The real sandbox: the image as it is built for this version, workers as the product starts them."""

from collections.abc import AsyncIterator

import pytest

from effects.code_sandbox.image import build_image
from effects.code_sandbox.limits import MIB, SandboxLimits
from effects.code_sandbox.sandbox import WasmCodeSandbox


@pytest.fixture(scope="session", autouse=True)
def image() -> None:
    """Build the image if dev/setup.sh has not; without it there is nothing to test."""
    build_image()


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[WasmCodeSandbox]:
    """A sandbox with the limits that are in force unless set otherwise."""
    made = WasmCodeSandbox()
    yield made
    await made.close()


@pytest.fixture(scope="session")
async def tight() -> AsyncIterator[WasmCodeSandbox]:
    """A sandbox that runs nothing longer than two seconds, one run at a time."""
    made = WasmCodeSandbox(SandboxLimits(2.0, 128 * MIB, 64 * 1024, 64 * 1024), worker_count=1)
    yield made
    await made.close()


@pytest.fixture(scope="session")
async def patient() -> AsyncIterator[WasmCodeSandbox]:
    """A sandbox with the other limits of ``tight``, which a run comes to on a busy machine too."""
    made = WasmCodeSandbox(SandboxLimits(60.0, 128 * MIB, 64 * 1024, 64 * 1024), worker_count=1)
    yield made
    await made.close()
