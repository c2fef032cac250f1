"""What can go wrong with the store. No text here holds a database password or any other secret."""

from graph.errors import DefectError, RefusedError, UnavailableError


class FencedError(RefusedError):
    """Another writer has taken the run over, or is ahead; whoever gets this stops working on the run at once."""

    code = "run_fenced"

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"run {self.run_id} has another writer"


class RunExistsError(RefusedError):
    """The run was begun before; the caller follows that run instead of starting it again."""

    code = "run_exists"

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"run {self.run_id} exists already"


class RunNotFoundError(RefusedError):
    """No run has this id; the caller checks the id."""

    code = "run_not_found"

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"no run has the id {self.run_id}"


class GenerationConflictError(RefusedError):
    """The tokens are not those of the recipient's next generation; the caller derives them for ``needed`` again."""

    code = "generation_conflict"

    def __init__(self, recipient_id: str, needed: int) -> None:
        super().__init__(recipient_id, needed)
        self.recipient_id = recipient_id
        self.needed = needed

    def __str__(self) -> str:
        return f"the next tokens of recipient {self.recipient_id} have generation {self.needed}"


class AppNotFoundError(RefusedError):
    """No app, or no published version of it, has this id or name; the caller checks it."""

    code = "app_not_found"

    def __init__(self, name_or_id: str) -> None:
        super().__init__(name_or_id)
        self.name_or_id = name_or_id

    def __str__(self) -> str:
        return f"no app is known as {self.name_or_id!r}"


class AmbiguousAppError(RefusedError):
    """Several apps bear this name; the caller names the app by its id."""

    code = "app_ambiguous"

    def __init__(self, name: str, app_ids: tuple[str, ...]) -> None:
        super().__init__(name, app_ids)
        self.name = name
        self.app_ids = app_ids

    def __str__(self) -> str:
        return f"several apps are named {self.name!r}: use one of the ids {', '.join(self.app_ids)}"


class McpServerExistsError(RefusedError):
    """The app can be called by agents already; the caller changes that server, or refreshes its code."""

    code = "mcp_server_exists"

    def __init__(self, app_id: str) -> None:
        super().__init__(app_id)
        self.app_id = app_id

    def __str__(self) -> str:
        return "This app has an MCP server already; change it, or refresh its code."


class McpServerNotFoundError(RefusedError):
    """No MCP server has this id in the workspace, or the app has none; the caller creates one."""

    code = "mcp_server_not_found"

    def __str__(self) -> str:
        return "There is no such MCP server."


class DraftOutOfStepError(RefusedError):
    """Somebody else has changed the draft meanwhile; the editor fetches it anew."""

    code = "draft_workflow_not_sync"

    def __str__(self) -> str:
        return "Workflow graph might have been modified, please refresh and resubmit."


class UploadLimitError(RefusedError):
    """A recipient has uploaded as many files for a form as one may; the person answers with those."""

    code = "too_many_files"

    def __init__(self, form_id: str, limit: int) -> None:
        super().__init__(form_id, limit)
        self.form_id = form_id
        self.limit = limit

    def __str__(self) -> str:
        return f"At most {self.limit} files can be uploaded for one form."


class UnsupportedDatabaseError(RefusedError):
    """The database URL names something else than a SQLite file or PostgreSQL; its owner corrects the setting."""

    code = "unsupported_database"

    def __init__(self, backend: str) -> None:
        super().__init__(backend)
        self.backend = backend

    def __str__(self) -> str:
        return f"{self.backend} is no database for Greenroom: use sqlite:///<file> or postgresql://…"


class DatabaseDriverError(RefusedError):
    """The database URL names a driver that cannot be used; its owner installs it, or names none."""

    code = "database_driver"

    def __init__(self, driver: str, is_known: bool) -> None:
        super().__init__(driver, is_known)
        self.driver = driver
        self.is_known = is_known

    def __str__(self) -> str:
        if self.is_known:
            return f"{self.driver} is not installed: pip install 'greenroom[{self.driver}]', or use postgresql://…"
        return f"{self.driver} is no driver for Greenroom: use postgresql://… or postgresql+asyncpg://…"


class InvalidFilesUrlError(RefusedError):
    """The files URL names no store that can be used; the operator corrects it. The text never quotes the URL."""

    code = "invalid_files_url"

    def __init__(self, scheme: str) -> None:
        super().__init__(scheme)
        self.scheme = scheme

    def __str__(self) -> str:
        return f"GREENROOM_FILES_URL ({self.scheme}:…) cannot be used: write for example s3://bucket/prefix"


class SchemaOutdatedError(RefusedError):
    """The database lacks tables that this version needs; whoever runs Greenroom migrates it.

    ``found`` and ``needed`` are revision numbers; ``found`` is None for a database without any.
    """

    code = "schema_outdated"

    def __init__(self, found: str | None, needed: str) -> None:
        super().__init__(found, needed)
        self.found = found
        self.needed = needed

    def __str__(self) -> str:
        has = f"has schema {self.found}" if self.found else "has no schema yet"
        return f"the database {has}, this Greenroom needs {self.needed}: run `greenroom migrate`"


class StoreUnavailableError(UnavailableError):
    """The database or the file store did not answer, also not on repetition; try again later."""

    code = "store_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the store is not available: {self.reason}"


class BlobMissingError(DefectError):
    """A value that the journal refers to is not in the file store, or is damaged there; restore it from a backup."""

    code = "blob_missing"

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest

    def __str__(self) -> str:
        return f"the file store has no intact value with SHA-256 {self.digest}"


class ArchiveNotFoundError(RefusedError):
    """No bundle of the archive, and no run in one, has this id; the caller looks at ``greenroom archive list``."""

    code = "archive_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the archive has neither a bundle nor a run with the id {self.name!r}: see `greenroom archive list`"


class ArchiveDamagedError(DefectError):
    """A bundle of the archive is not in the file store, or is damaged there; restore it from a backup."""

    code = "archive_damaged"

    def __init__(self, bundle_id: str) -> None:
        super().__init__(bundle_id)
        self.bundle_id = bundle_id

    def __str__(self) -> str:
        return f"the file store has no intact bundle {self.bundle_id}"


class UnknownTablesError(RefusedError):
    """A newer version has added to the database; whoever runs Greenroom uses that one to archive and sweep."""

    code = "unknown_tables"

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.names = names

    def __str__(self) -> str:
        return f"this version does not know {', '.join(self.names)} of the database, so it moves and deletes nothing"


class DatabaseCopyError(RefusedError):
    """The database could not be copied to this file; the caller names another place, or mends the database."""

    code = "database_copy"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"the database cannot be copied to {self.path}: {self.reason}"
