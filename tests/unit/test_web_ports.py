"""What HTTP replicas have for people without an account, by the settings."""

from pathlib import Path

import pytest

from actors.settings import Settings
from actors.web_ports import WebPorts
from store.database import open_database
from store.rate_counters import LocalCounter, SharedCounter


@pytest.mark.parametrize(
    ("redis_url", "kind"), [("", LocalCounter), ("redis://cache", SharedCounter), ("unix:///run/redis", SharedCounter)]
)
async def test_counter_is_shared_where_redis_is_configured(redis_url: str, kind: type, tmp_path: Path) -> None:
    """A password alone is no Redis; nothing is opened before it is used."""
    settings = Settings(data_dir=tmp_path, redis_url=redis_url, redis_password="hush")
    ports = WebPorts(settings, open_database(settings.database_url_to_open()))
    assert isinstance(ports.rate_counter, kind)
    await ports.rate_counter.close()
    assert list(tmp_path.iterdir()) == []
