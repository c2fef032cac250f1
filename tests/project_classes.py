"""Finds the classes of the project by importing every module of our packages."""

import importlib
import inspect
import pkgutil

from graph.errors import GreenroomError

PACKAGES = ("graph", "hitl", "store", "models", "effects", "actors", "surfaces", "cli")


def project_classes() -> list[type]:
    """Every class that a module of ours defines, by qualified name."""
    found: dict[str, type] = {}
    for package_name in PACKAGES:
        package = importlib.import_module(package_name)
        for info in pkgutil.walk_packages(package.__path__, f"{package_name}."):
            if ".migrations" in info.name:
                continue
            for _, member in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
                if member.__module__.split(".")[0] in PACKAGES:
                    found[f"{member.__module__}.{member.__qualname__}"] = member
    return [found[name] for name in sorted(found)]


ALL_CLASSES = project_classes()
ERRORS: list[type[GreenroomError]] = [c for c in ALL_CLASSES if issubclass(c, GreenroomError)]
