"""``greenroom upgrade`` where it cannot do its work; what it does is in tests/cluster/test_upgrade.py."""

from pathlib import Path
from typing import Any

import pytest
import ray

from actors.settings import Settings
from cli import upgrading
from cli.errors import DatabaseUnusableError, StartFailedError
from store.errors import SchemaOutdatedError
from store.migrate import migrate


def test_upgrade_asks_for_a_migration_first(tmp_path: Path) -> None:
    """The actors of this version could do nothing with an older schema, so the old ones stay."""
    with pytest.raises((SchemaOutdatedError, DatabaseUnusableError), match="greenroom migrate"):
        upgrading.upgrade(Settings(data_dir=tmp_path))


def test_upgrade_says_that_there_is_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray says becomes one sentence."""

    def refuse(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nPlease start one.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    migrate(f"sqlite:///{tmp_path}/greenroom.db")
    with pytest.raises(StartFailedError) as caught:
        upgrading.upgrade(Settings(data_dir=tmp_path))
    assert str(caught.value).startswith("connecting to Ray failed: Could not find any running Ray instance.\n")
