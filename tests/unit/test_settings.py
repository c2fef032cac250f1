"""Settings: read from the environment, sent to actors without passwords."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from actors.mail_server import mail_server_of
from actors.settings import Settings, join_password, split_password
from effects.mail import MailServer

URL = "postgresql+psycopg://green:p%40ss@db:5432/room"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    """A variable is named GREENROOM_ and the field's name; paths become absolute."""
    monkeypatch.setenv("GREENROOM_POOL_SIZE", "7")
    monkeypatch.setenv("GREENROOM_DATA_DIR", "somewhere")
    settings = Settings()
    assert settings.pool_size == 7
    assert settings.data_dir == Path.cwd() / "somewhere"
    assert settings.secrets_file == Path.cwd() / "somewhere" / "secrets.json"
    assert settings.database_url == f"sqlite:///{Path.cwd()}/somewhere/greenroom.db"


def test_no_password_shows_when_settings_are_printed_or_sent():
    """A password in a URL moves to its own field, which neither repr nor the plain form shows."""
    settings = Settings(database_url=URL, redis_url="redis://:hush@cache:6379/0")
    for text in (repr(settings), settings.plain):
        assert "p%40ss" not in text
        assert "hush" not in text
    assert settings.database_url_to_open() == URL
    assert settings.redis_url_to_open() == "redis://:hush@cache:6379/0"


def test_sent_settings_take_passwords_from_the_receiving_process(monkeypatch: pytest.MonkeyPatch):
    """An actor opens the database of the sender with the password of its own environment."""
    plain = Settings(database_url=URL, pool_size=5).plain
    assert Settings.from_plain(plain).database_url_to_open() == "postgresql+psycopg://green@db:5432/room"
    monkeypatch.setenv("GREENROOM_DATABASE_URL", URL)
    received = Settings.from_plain(plain)
    assert received.database_url_to_open() == URL
    assert received.pool_size == 5


def test_sent_settings_are_not_mixed_with_the_environment(monkeypatch: pytest.MonkeyPatch):
    """What the sender had counts, also where it was the default."""
    plain = Settings().plain
    monkeypatch.setenv("GREENROOM_POOL_SIZE", "9")
    assert Settings.from_plain(plain).pool_size == 3


@pytest.mark.parametrize("url", [URL, "sqlite:////a/b.db", "redis://cache", "postgresql://host/db"])
def test_split_and_joined_password_give_the_url_back(url: str):
    """Taking the password out of a URL loses nothing."""
    plain, password = split_password(url)
    held = Settings(database_password=password).database_password if password else None
    assert join_password(plain, held) == url


@pytest.mark.parametrize("url", ["http://cache", "redis://:pa/hush@cache:6379", "redis://:12/hush@cache", "cache:6379"])
def test_redis_url_is_refused_without_being_quoted(url: str):
    """A URL that the Redis client could not read is refused where it is set, and no password shows."""
    with pytest.raises(ValidationError) as caught:
        Settings(redis_url=url)
    assert "redis_url" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_redis_password_is_refused_when_it_breaks_the_url():
    """A password of its own goes into the URL, so it must be percent-encoded; the refusal does not quote it."""
    assert Settings(redis_url="redis://cache", redis_password="hu%2Fsh").redis_url_to_open() == "redis://:hu%2Fsh@cache"
    with pytest.raises(ValidationError) as caught:
        Settings(redis_url="redis://cache", redis_password="hu/sh")
    assert "hu/sh" not in str(caught.value)


def test_mail_server_comes_from_its_url(monkeypatch: pytest.MonkeyPatch):
    """Host, port, user and TLS stand in the URL; its password leaves the URL, decoded, and shows nowhere."""
    settings = Settings(smtp_url="smtp://ann%40x.example:p%40ss@mail.x.example")
    assert mail_server_of(settings) == MailServer(
        "mail.x.example", 587, "starttls", "ann@x.example", "ann@x.example", "p@ss"
    )
    assert not any(each in text for each in ("p@ss", "p%40ss") for text in (repr(settings), settings.plain))
    assert "p@ss" not in repr(mail_server_of(settings))
    monkeypatch.setenv("GREENROOM_SMTP_PASSWORD", "100%")
    received = mail_server_of(Settings.from_plain(settings.plain))
    assert received is not None and received.password == "100%"


@pytest.mark.parametrize(
    ("url", "tls", "port", "mode"),
    [
        ("smtps://mail", "starttls", 465, "implicit"),
        ("smtps://mail:25", "none", 25, "implicit"),
        ("smtp://mail:1025", "none", 1025, "none"),
    ],
)
def test_mail_server_encrypts_as_told(url: str, tls: Literal["starttls", "none"], port: int, mode: str):
    """``smtps`` always encrypts; ``smtp`` unless told otherwise."""
    server = mail_server_of(Settings(smtp_url=url, smtp_tls=tls, smtp_from="Greenroom <g@x.example>"))
    assert server is not None
    assert (server.port, server.tls, server.sender) == (port, mode, "Greenroom <g@x.example>")


def test_no_url_is_no_mail_server():
    """Without a URL no mails are sent, whatever else is set."""
    assert mail_server_of(Settings(smtp_from="g@x.example")) is None


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("smtp_url", {"smtp_url": "http://hush@mail"}),
        ("smtp_url", {"smtp_url": "smtp://hush@"}),
        ("smtp_url", {"smtp_url": "smtp://mail/hush"}),
        ("smtp_url", {"smtp_url": "smtp://mail:hush"}),
        ("smtp_from", {"smtp_url": "smtp://mail"}),
        ("smtp_from", {"smtp_url": "smtp://mail", "smtp_from": "hush"}),
        ("smtp_from", {"smtp_url": "smtp://mail", "smtp_from": "a@x.example\nBcc: hush@x.example"}),
        ("smtp_tls", {"smtp_tls": "hush"}),
    ],
)
def test_mail_setting_is_refused_by_its_name(field: str, values: dict):
    """What cannot be used is refused, naming the setting and quoting nothing."""
    with pytest.raises(ValidationError) as caught:
        Settings(**values)
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["trusted_proxies", "http_allowed_networks"])
def test_networks_are_refused_where_they_are_set(name: str):
    """What is no network is refused when the settings are read, not when the first replica starts."""
    assert getattr(Settings(**{name: "10.0.0.0/8, fd00::/8"}), name) == "10.0.0.0/8, fd00::/8"
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: "10.0.0.0/8, proxy.example"})
