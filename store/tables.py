"""The SQL schema, for SQLite and PostgreSQL alike.

Ids are lower-case uuid strings. ``*_at`` are Unix seconds (UTC) as floats, ``*_s`` seconds. Columns of JSON hold
bytes: they are read whole, may hold the NUL character that PostgreSQL's JSON refuses, large values in them are
references (``store.packing``), and facts, snapshots, forms and values are compressed (``store.compression``). Text that
people or models wrote is OutsideText.

    workspaces, accounts, members     who belongs where
    apps, workflow_versions           what can run; a version never changes
    api_keys, end_users               who calls an app
    runs                              one row a run: who writes it (epoch, actor, lease), its head and status
    journal                           one row per append: the facts first_number..last_number
    snapshots                         the state at the last pause, latest only
    run_inbox                         what came from outside for a run; taken up by the fact taken_number
    forms, form_recipients            what is asked, and who may answer
    form_tokens                       SHA-256 of each form token -> recipient; nothing here lets anyone act
    submissions, audit                the answers, and who did what to a form
    files                             uploaded files: where they lie and whose they are
    human_time_tables                 whom a form asks, claims, snoozes, schedules (in the module of that name)
    archives, archived_runs           bundles of ended runs (in archive_tables)
    meta                              name -> value of the installation, such as the id of the form token key

Rules: a run's row is locked before its forms. There are no foreign keys: every id comes from a row that the same
process wrote before, rows go only as whole runs (retention), and a key's check would take locks in another order.
Changes are additive (a new table, a new column that may be null), so that the version before keeps working.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.sql.elements import ColumnElement

SCHEMA_REVISION: Final = "0002"
"""The newest revision in store/migrations, which these tables describe."""


class OutsideText(TypeDecorator[str]):
    """Text from outside: NUL and lone surrogates, which a database refuses, become U+FFFD."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return what makes the database's text of any; nothing else is on its way, for most columns are text."""
        return _storable


def _storable(value: str | None) -> str | None:
    if value is None or (value.isascii() and "\x00" not in value):
        return value
    return value.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Id(OutsideText):
    """An id; what a caller looks up may hold anything."""

    impl = String
    cache_ok = True


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _id(name: str, *, is_key: bool = False, is_optional: bool = False) -> Column[str]:
    return Column(name, Id(64), primary_key=is_key, nullable=is_optional)


def _is(column: Column[Any], value: str) -> ColumnElement[bool]:
    """Return the condition of a partial index; literal, so that SQLite recognises it in queries."""
    return column == literal_column(f"'{value}'")


def _partial(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> Index:
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


workspaces = Table(
    "workspaces",
    metadata,
    _id("workspace_id", is_key=True),
    Column("name", OutsideText, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    _id("account_id", is_key=True),
    Column("email", OutsideText, nullable=False, unique=True),
    Column("name", OutsideText, nullable=False),
    Column("created_at", Double, nullable=False),
    # Null: nobody can log in as this account.
    Column("password_hash", Text),
)

members = Table(
    "members",
    metadata,
    _id("workspace_id", is_key=True),
    _id("account_id", is_key=True),
    Column("role", String(32), nullable=False),
    Index("ix_members_account_id", "account_id"),
    sqlite_with_rowid=False,
)

apps = Table(
    "apps",
    metadata,
    _id("app_id", is_key=True),
    _id("workspace_id"),
    Column("name", OutsideText, nullable=False),
    Column("description", OutsideText, nullable=False),
    Column("mode", String(32), nullable=False),
    Column("icon", LargeBinary, nullable=False),
    _id("published_version_id", is_optional=True),
    _id("created_by", is_optional=True),
    Column("created_at", Double, nullable=False),
    Index("ix_apps_workspace_id_name", "workspace_id", "name"),
)

workflow_versions = Table(
    "workflow_versions",
    metadata,
    _id("version_id", is_key=True),
    _id("app_id"),
    Column("content_hash", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),
    _id("created_by", is_optional=True),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("app_id", "content_hash"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id("key_id", is_key=True),
    _id("app_id"),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    Index("ix_api_keys_app_id", "app_id"),
)

end_users = Table(
    "end_users",
    metadata,
    _id("end_user_id", is_key=True),
    _id("workspace_id"),
    _id("app_id"),
    Column("type", String(32), nullable=False),
    Column("session_id", OutsideText, nullable=False),
    Column("is_anonymous", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("workspace_id", "app_id", "type", "session_id"),
)

runs = Table(
    "runs",
    metadata,
    _id("run_id", is_key=True),
    _id("workspace_id"),
    _id("app_id"),
    _id("version_id"),
    Column("mode", String(32), nullable=False),
    Column("invoke_source", String(32), nullable=False),
    Column("created_by_role", String(16), nullable=False),
    _id("created_by_id"),
    Column("user", OutsideText, nullable=False),
    Column("inputs", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("status", String(32), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("lease_id", String(64), nullable=False),
    Column("outputs", LargeBinary, nullable=False),
    Column("error", OutsideText),
    Column("total_steps", Integer, nullable=False),
    Column("total_tokens", BigInteger, nullable=False),
    Column("elapsed_s", Double, nullable=False),
    Column("exceptions_count", Integer, nullable=False),
    Column("paused_at", Double),
    Column("finished_at", Double),
    # W3C Trace Context of the caller.
    Column("traceparent", String(64)),
    Index("ix_runs_app_id_run_id", "app_id", "run_id"),
)
is_running = _is(runs.c.status, "running")
_partial("ix_runs_running", runs.c.actor, where=is_running)

journal = Table(
    "journal",
    metadata,
    _id("run_id", is_key=True),
    Column("last_number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_number", BigInteger, nullable=False),
    Column("facts", LargeBinary, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    _id("run_id", is_key=True),
    Column("head", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

run_inbox = Table(
    "run_inbox",
    metadata,
    # "stop-<run id>" or the id of the form: so a form is taken up once, whatever happens.
    _id("item_id", is_key=True),
    _id("run_id"),
    Column("kind", String(16), nullable=False),
    _id("form_id", is_optional=True),
    Column("action_id", OutsideText, nullable=False),
    Column("field_values", LargeBinary, nullable=False),
    Column("reason", OutsideText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("taken_number", BigInteger),
)
is_untaken = run_inbox.c.taken_number.is_(None)
_partial("ix_run_inbox_untaken", run_inbox.c.run_id, where=is_untaken)

forms = Table(
    "forms",
    metadata,
    _id("form_id", is_key=True),
    _id("workspace_id"),
    _id("app_id"),
    _id("run_id", is_optional=True),
    Column("node_id", OutsideText, nullable=False),
    _id("execution_id"),
    Column("kind", String(16), nullable=False),
    Column("definition", LargeBinary, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("global_expires_at", Double),
    # The earlier of the two deadlines.
    Column("due_at", Double, nullable=False),
    Column("invoke_source", String(32)),
    Column("closed_at", Double),
    # As in the definition, to search by.
    Column("node_title", OutsideText),
    UniqueConstraint("execution_id"),
    Index("ix_forms_run_id", "run_id"),
)
is_waiting = _is(forms.c.status, "waiting")
_partial("ix_forms_waiting", forms.c.due_at, where=is_waiting)

form_recipients = Table(
    "form_recipients",
    metadata,
    _id("recipient_id", is_key=True),
    _id("form_id"),
    # Order within the form.
    Column("position", Integer, nullable=False),
    Column("type", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("ix_form_recipients_form_id", "form_id"),
    sqlite_with_rowid=False,
)

form_tokens = Table(
    "form_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    _id("recipient_id"),
    Column("surface", String(16), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    sqlite_with_rowid=False,
)

submissions = Table(
    "submissions",
    metadata,
    _id("form_id", is_key=True),
    _id("recipient_id", is_optional=True),
    Column("action_id", OutsideText, nullable=False),
    Column("action_title", OutsideText, nullable=False),
    Column("field_values", LargeBinary, nullable=False),
    _id("account_id", is_optional=True),
    _id("end_user_id", is_optional=True),
    Column("via", String(32), nullable=False),
    Column("submitted_at", Double, nullable=False),
    _id("api_key_id", is_optional=True),
    # SHA-256 of the Idempotency-Key that came with the answer.
    Column("key_hash", LargeBinary(32)),
)

audit = Table(
    "audit",
    metadata,
    _id("entry_id", is_key=True),
    _id("form_id"),
    Column("event", String(32), nullable=False),
    Column("at", Double, nullable=False),
    _id("recipient_id", is_optional=True),
    _id("account_id", is_optional=True),
    _id("end_user_id", is_optional=True),
    Column("via", String(32), nullable=False),
    Column("detail", OutsideText, nullable=False),
    # Why the form expired; NULL for every other event.
    Column("reason", String(32)),
    Index("ix_audit_form_id", "form_id"),
)

files = Table(
    "files",
    metadata,
    _id("file_id", is_key=True),
    _id("workspace_id"),
    _id("app_id", is_optional=True),
    _id("form_id", is_optional=True),
    Column("owner_role", String(16), nullable=False),
    _id("owner_id"),
    Column("name", OutsideText, nullable=False),
    Column("mime_type", OutsideText, nullable=False),
    Column("extension", OutsideText, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("storage_key", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_files_form_id", "form_id"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
