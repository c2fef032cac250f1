"""The settings of Greenroom, from the environment (``GREENROOM_*``), read once where a process starts.

Actors get the settings of whoever creates them as a plain text argument, which Ray's state API shows: ``plain``
therefore carries no password: each process takes those from its own environment.
"""

import json
import os
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from effects.address_guard import InvalidNetworkError, parse_networks

_SECRET_FIELDS = frozenset({"database_password", "redis_password", "smtp_password"})


class Settings(BaseSettings):
    """Everything that can be configured. Paths are absolute once read; ``_s`` is seconds.

    A password inside ``database_url``, ``redis_url`` or ``smtp_url`` moves to its own field, so that no URL shows one.
    """

    model_config = SettingsConfigDict(env_prefix="GREENROOM_", extra="ignore", frozen=True, hide_input_in_errors=True)

    data_dir: Path = Path(".greenroom")
    """Where the SQLite file, the stored files and the secrets lie unless named otherwise."""
    database_url: str = ""
    """SQLAlchemy URL; empty: the SQLite file ``greenroom.db`` in ``data_dir``."""
    database_password: SecretStr | None = None
    database_connections: int = Field(8, ge=1)
    """How many connections to PostgreSQL a process may have at a time; a run actor has one."""
    redis_url: str = ""
    """Where hints go between processes; empty: no Redis, the event hub carries them."""
    redis_password: SecretStr | None = None
    secrets_file: Path | None = None
    """JSON file of mode 0600, made on first start; default ``secrets.json`` in ``data_dir``."""
    public_url: str = "http://127.0.0.1:8000"
    """How people reach Greenroom; links are built from this, never from a request."""
    http_host: str = "127.0.0.1"
    http_port: int = 8000

    smtp_url: str = ""
    """Mail server, ``smtp://user@host:587`` or ``smtps://user@host:465``; empty: no mails are sent."""
    smtp_password: SecretStr | None = None
    smtp_from: str = Field("", validate_default=True)
    """In whose name mails are sent, an address or ``Name <address>``; empty: the user of ``smtp_url``."""
    smtp_tls: Literal["starttls", "none"] = "starttls"
    """Whether an ``smtp://`` server must encrypt the connection before anything is said; ``smtps://`` always does."""

    pool_size: int = Field(3, ge=1)
    """How many runs execute at a time: the number of run actors kept."""
    runs_per_actor: int = Field(10_000, ge=1)
    """Runs after which an actor is replaced by a fresh process, or up to a quarter fewer; 1: a process for each run."""
    queue_limit: int = Field(100, ge=0)
    """How many starts may wait for an actor, in each process that starts runs; one more is refused."""
    lease_ttl_s: float = Field(15.0, gt=0)
    """How long the lease of a run actor lasts without being renewed."""
    ping_interval_s: float = Field(2.0, gt=0)
    """Between two pings of a run actor; three missed in a row end it."""
    max_recoveries: int = Field(5, ge=0)
    """How often a run is taken over after its actor died, between two pauses, before it is given up as failed."""
    drain_s: float = Field(10.0, ge=0)
    """How long a node may go on executing when its actor is to be replaced, or everything stops; then it is cut."""
    actor_cpus: float = Field(0.0, ge=0)
    """CPUs that Ray reserves for each actor."""

    hitl_actors: int = Field(1, ge=1)
    """How many HITL actors share the forms."""
    hitl_reconcile_s: float = Field(5.0, gt=0)
    """Between two looks of a HITL actor for answers that no run has taken up."""
    human_input_global_timeout_s: float = 604_800.0
    """After so long a waiting form ends its run; 0 or less: never."""
    claim_lifetime_s: float = Field(3600.0, gt=0)
    """How long an account that has claimed a form keeps it from other accounts."""
    max_steps: int = Field(500, ge=1)
    max_time_s: float = Field(1200.0, gt=0)

    chat_history_chars: int = Field(40_000, ge=0)
    """How many characters of a conversation's earlier messages go along with a new one, for models with memory."""
    retention_days: float = Field(0.0, ge=0)
    """Days after which an ended run leaves the tables for the archive; 0: never."""

    otlp_url: str = ""
    """Where spans go, as an address of an OpenTelemetry collector (OTLP over HTTP); empty: none are made."""
    log_format: Literal["console", "json"] = "console"
    """How processes write their logs: a line to read, or a JSON object a line."""

    files_url: str = ""
    """Where stored files and large values lie, such as ``s3://bucket/prefix``; empty: a folder in ``data_dir``."""
    file_link_lifetime_s: float = Field(300.0, gt=0)
    """How long a link to a file opens it."""
    upload_blocked_extensions: str = ""
    """Extensions (comma separated) that uploads may not have."""
    http_allowed_networks: str = ""
    """Networks (comma separated) that requests of workflows may reach besides public addresses."""

    web_form_rate_limit: int = Field(30, ge=1)
    """How often one caller may open, answer, ask for an upload token of, or upload to forms in a window, each."""
    web_form_rate_window_s: int = Field(60, ge=1)
    web_form_global_rate_limit: int = Field(6000, ge=1)
    """The same for all callers together whose address is not known."""
    openapi_rate_limit: int = Field(60, ge=0)
    """How many requests a bearer token may make in a minute; 0: as many as it likes."""
    trusted_proxies: str = ""
    """Networks (comma separated) of the proxies whose ``X-Forwarded-For`` counts; empty: no address is known."""

    models_file: Path | None = None
    """YAML file that says what the provider and model names of workflow files mean."""
    models: dict[str, Any] = Field(default_factory=dict)
    """The same inline as JSON; wins over ``models_file``. Names environment variables of API keys, never a key."""

    tools_file: Path | None = None
    """YAML file that says what the tools of workflow files mean. It names environment variables, never a key."""

    sandbox_workers: int = Field(2, ge=1)
    """How many code nodes of one language run at a time in one run actor: worker processes kept."""
    sandbox_time_limit_s: float = Field(30.0, gt=0)
    sandbox_memory_mb: int = Field(128, ge=64, le=1024)
    """Memory of one run of a code node, in MiB; Python itself takes 40."""

    workspace_name: str = "Greenroom"
    account_email: str = "owner@greenroom.local"
    """The account that the Python client and the command line act as."""
    account_name: str = "Owner"

    @model_validator(mode="before")
    @classmethod
    def _part_passwords(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in ("database", "redis", "smtp"):
            url, password = split_password(str(values.get(f"{name}_url") or ""))
            if password is not None:
                # The mail server's goes nowhere but into its login; the others stay as a URL needs them.
                password = unquote(password) if name == "smtp" else password
                values = {f"{name}_password": password, **values, f"{name}_url": url}
        return values

    @field_validator("smtp_url")
    @classmethod
    def _check_smtp_url(cls, url: str) -> str:
        if url and not is_smtp_url(url):
            raise ValueError("must be smtp:// or smtps://, an address and no path")
        return url

    @field_validator("smtp_from")
    @classmethod
    def _check_smtp_from(cls, sender: str, info: ValidationInfo) -> str:
        """Return the address of the sender, which a mail server needs in any case."""
        url = info.data.get("smtp_url")
        sender = sender or (unquote(urlsplit(url).username or "") if url else "")
        if url and not (sender.isprintable() and "@" in parseaddr(sender)[1]):
            raise ValueError("must be an e-mail address or Name <address>, because the user of smtp_url is none")
        return sender

    @field_validator("http_allowed_networks", "trusted_proxies")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        try:
            parse_networks(text)
        except InvalidNetworkError as error:
            raise ValueError("must be networks such as 10.1.0.0/16, separated by commas") from error
        return text

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str) -> str:
        if url and not is_redis_url(url):
            raise ValueError("must be redis://, rediss:// or unix:// and an address")
        return url

    @field_validator("otlp_url")
    @classmethod
    def _check_otlp_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be an http or https address")
        if parts.username is not None or parts.query:
            raise ValueError("may not hold credentials: put them into OTEL_EXPORTER_OTLP_HEADERS")
        return url

    @field_validator("redis_password")
    @classmethod
    def _check_redis_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        url = info.data.get("redis_url")
        if url and not is_redis_url(join_password(url, password)):
            raise ValueError("must be percent-encoded, because it goes into the URL")
        return password

    @model_validator(mode="after")
    def _absolute_paths(self) -> Self:
        set_field = object.__setattr__
        set_field(self, "data_dir", Path(os.path.abspath(self.data_dir)))
        set_field(self, "secrets_file", Path(os.path.abspath(self.secrets_file or self.data_dir / "secrets.json")))
        if self.models_file:
            set_field(self, "models_file", Path(os.path.abspath(self.models_file)))
        if self.tools_file:
            set_field(self, "tools_file", Path(os.path.abspath(self.tools_file)))
        if not self.database_url:
            set_field(self, "database_url", f"sqlite:///{self.data_dir / 'greenroom.db'}")
        return self

    @property
    def files_dir(self) -> Path:
        """The folder of stored files and large values."""
        return self.data_dir / "files"

    @property
    def blocked_extensions(self) -> frozenset[str]:
        """``upload_blocked_extensions``, each in lower case and with its dot."""
        names = (part.strip().lower().removeprefix(".") for part in self.upload_blocked_extensions.split(","))
        return frozenset(f".{name}" for name in names if name)

    @cached_property
    def plain(self) -> str:
        """The settings as JSON text without any password: safe as an argument of an actor."""
        return json.dumps(self.model_dump(mode="json", exclude=set(_SECRET_FIELDS)), sort_keys=True)

    @classmethod
    def from_plain(cls, plain: str) -> Self:
        """Return the settings that ``plain`` was made of, with the passwords of this process's environment."""
        local = cls()
        passwords = {name: getattr(local, name) for name in _SECRET_FIELDS}
        return cls.model_validate({**json.loads(plain), **passwords})

    def database_url_to_open(self) -> str:
        """Return the database URL with its password. Hand it to the driver only; never show or send it."""
        return join_password(self.database_url, self.database_password)

    def redis_url_to_open(self) -> str:
        """Return the Redis URL with its password. Hand it to the driver only; never show or send it."""
        return join_password(self.redis_url, self.redis_password)


def split_password(url: str) -> tuple[str, str | None]:
    """Return ``url`` without its password, and the password as it stood there, or None if it has none."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, None
    user, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{address}")), parts.password


def join_password(url: str, password: SecretStr | None) -> str:
    """Return ``url`` with ``password`` in it; the opposite of ``split_password``. Never show what this returns."""
    if password is None:
        return url
    parts = urlsplit(url)
    user, at, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user if at else ''}:{password.get_secret_value()}@{address}"))


def is_redis_url(url: str) -> bool:
    """Say whether the Redis client can read ``url``."""
    try:
        parts = urlsplit(url)
        return bool(parts.path) if parts.scheme == "unix" else _has_address(parts)
    except ValueError:
        # The port is no number.
        return False


def is_smtp_url(url: str) -> bool:
    """Say whether ``url`` names a mail server."""
    try:
        parts = urlsplit(url)
        is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
        return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0 and is_bare
    except ValueError:
        # The port is no number.
        return False


def _has_address(parts: SplitResult) -> bool:
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
