"""The image: CPython with the standard library and a few packages, frozen after its imports, as WebAssembly.

An image is named by the hash of all that it is made of, so a new version never runs an old one. Beside it lies the
machine code that wasmtime made of it for this version and this CPU.
"""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from effects.code_sandbox.errors import ImageBuildError, ImageMissingError

# wasmtime takes 18 MB, which a process that only finds the image for its workers must not pay for.
if TYPE_CHECKING:
    from wasmtime import Engine
    from wasmtime.component import Component

SOURCES = ("guest.py", "box.wit")
BUILDER = "componentize-py"
PACKAGES = ("jinja2", "jsonpath-ng", "markupsafe", "python-dateutil", "pyyaml", "six", "tzdata")
"""What code may import besides the standard library."""
BUILD_TIME_S = 600

_APP = """\
import guest
import wit_world
from componentize_py_types import Err

guest.prepare()


class WitWorld(wit_world.WitWorld):
    def run(self, language: str, code: str, inputs: str, max_characters: int) -> str:
        worked, text = guest.run(language, code, inputs, max_characters)
        if worked:
            return text
        raise Err(text)
"""
_HERE = Path(__file__).parent


def image_folder() -> Path:
    """Return where images lie: in the environment that this Python belongs to."""
    return Path(sys.prefix) / "share" / "greenroom"


def image_path() -> Path:
    """Return where the image of this version lies, whether it is built or not.

    Raises:
        ImageMissingError: a package that it is made of is not installed.
    """
    digest = hashlib.sha256(_APP.encode())
    try:
        for package in (BUILDER, *PACKAGES):
            digest.update(f"{package}=={importlib.metadata.version(package)}\n".encode())
    except importlib.metadata.PackageNotFoundError:
        raise ImageMissingError from None
    for name in SOURCES:
        digest.update((_HERE / name).read_bytes())
    return image_folder() / f"sandbox-{digest.hexdigest()[:16]}.wasm"


def built_image() -> Path:
    """Return the image of this version.

    Raises:
        ImageMissingError: it is not built.
    """
    path = image_path()
    if not path.is_file():
        raise ImageMissingError
    return path


def is_built() -> bool:
    """Whether the image of this version and its machine code for this machine are there."""
    try:
        return machine_code_path(built_image()).is_file()
    except ImageMissingError:
        return False


def machine_code_path(image: Path) -> Path:
    """Return where the machine code of ``image`` for this wasmtime and this CPU lies."""
    return image.with_name(f"{image.stem}-{importlib.metadata.version('wasmtime')}-{_cpu()}.cwasm")


@cache
def _cpu() -> str:
    flags = ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass  # not Linux: the kind of machine must do; wasmtime itself refuses code for another CPU
    return hashlib.sha256(f"{sys.platform} {platform.machine()} {flags}".encode()).hexdigest()[:12]


def build_image() -> tuple[Path, bool]:
    """Build the image of this version and its machine code where they are missing.

    Returns:
        The image, and whether anything had to be done.

    Raises:
        ImageBuildError: it could not be built.
    """
    from wasmtime import WasmtimeError

    try:
        image = image_path()
        is_missing = not image.is_file()
        if is_missing:
            image.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="greenroom-image-") as folder:
                _put(_componentize(Path(folder)).read_bytes(), image)
        is_raw = not machine_code_path(image).is_file()
        if is_raw:
            load_component(make_engine(), image)
        for path in image.parent.glob("sandbox-*"):
            if not path.name.startswith(image.stem):
                path.unlink(missing_ok=True)
    except ImageMissingError:
        raise ImageBuildError(f"one of {BUILDER}, {', '.join(PACKAGES)} is not installed") from None
    except OSError as error:
        raise ImageBuildError(str(error)) from error
    except WasmtimeError as error:
        raise ImageBuildError(f"wasmtime does not take what {BUILDER} made: {error}") from error
    return image, is_missing or is_raw


def _componentize(folder: Path) -> Path:
    for name in ("app", "packages", "nothing/site-packages"):
        (folder / name).mkdir(parents=True)
    for name in SOURCES:
        shutil.copyfile(_HERE / name, folder / "app" / name)
    (folder / "app" / "app.py").write_text(_APP, encoding="utf-8")
    for package in PACKAGES:
        _copy_package(package, folder / "packages")
    command = [sys.executable, "-c", "from componentize_py import script; script()"]
    command += ["-q", "-d", "app/box.wit", "-w", "box"]
    command += ["componentize", "-p", "app", "-p", "packages", "app", "-o", "box.wasm"]
    # Nothing else of this environment gets into the image: the builder adds the packages of VIRTUAL_ENV.
    environment = {"PATH": os.defpath, "HOME": str(folder), "VIRTUAL_ENV": str(folder / "nothing")}
    try:
        made = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_TIME_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ImageBuildError(f"{BUILDER} took longer than {BUILD_TIME_S} s") from None
    if made.returncode != 0:
        raise ImageBuildError(f"{BUILDER} failed: {(made.stderr or made.stdout).strip()[-2000:]}")
    return folder / "box.wasm"


def _copy_package(package: str, folder: Path) -> None:
    """Copy what is platform-independent of an installed package."""
    for file in importlib.metadata.files(package) or ():
        if file.parts[0] in ("..", "/") or ".dist-info" in file.parts[0] or file.suffix in (".so", ".pyc", ".pyd"):
            continue
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), target)


def make_engine() -> "Engine":
    """Return the engine that images are compiled for and run by."""
    from wasmtime import Config, Engine

    config = Config()
    config.epoch_interruption = True
    return Engine(config)


def load_component(engine: "Engine", image: Path) -> "Component":
    """Return ``image`` as machine code: from beside it, else compiled now (seconds) and put there if it may be."""
    from wasmtime import WasmtimeError
    from wasmtime.component import Component

    path = machine_code_path(image)
    if path.is_file():
        try:
            return Component.deserialize_file(engine, str(path))
        except WasmtimeError:
            pass  # made by another build of wasmtime, or cut short: make it again
    made = Component.from_file(engine, str(image))
    try:
        _put(bytes(made.serialize()), path)
    except OSError:
        pass  # not ours to write: the next worker compiles again
    return made


def _put(content: bytes, path: Path) -> None:
    """Write a file that exists whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.chmod(name, 0o644)
    os.replace(name, path)
