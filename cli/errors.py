"""What a command refuses, or cannot do."""

from graph.errors import RefusedError, UnavailableError


class InvalidSettingsError(RefusedError):
    """A ``GREENROOM_*`` variable cannot be used; the operator corrects it. The text never quotes a value."""

    code = "invalid_settings"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults
        """One "<variable>: <what is wrong>" for each fault."""

    def __str__(self) -> str:
        return "settings cannot be used:\n" + "\n".join(f"- {fault}" for fault in self.faults)


class UnreadableFileError(RefusedError):
    """A file named on the command line cannot be read; the caller names another."""

    code = "unreadable_file"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.reason}"


class UnknownAccountError(RefusedError):
    """No account has this address; the operator adds it, or names another."""

    code = "unknown_account"

    def __init__(self, email: str) -> None:
        super().__init__(email)
        self.email = email

    def __str__(self) -> str:
        return f"no account has the address {self.email!r}; add it with `greenroom account add`"


class UnknownTokenError(RefusedError):
    """The account has no bearer token with this id; the operator looks at ``greenroom account tokens``."""

    code = "unknown_token"

    def __init__(self, token_id: str) -> None:
        super().__init__(token_id)
        self.token_id = token_id

    def __str__(self) -> str:
        return f"the account has no token {self.token_id!r}; see `greenroom account tokens`"


class PortInUseError(RefusedError):
    """Another program listens on the HTTP port; the caller stops it or chooses another port."""

    code = "port_in_use"

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.port = port

    def __str__(self) -> str:
        return f"port {self.port} is in use by another program; stop it, or choose another with GREENROOM_HTTP_PORT"


class DemoFailedError(UnavailableError):
    """The demonstration did not go as it must; the text says at which step."""

    code = "demo_failed"

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)
        self.step = step
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.step} failed: {self.reason}"


class StartFailedError(UnavailableError):
    """Greenroom did not come up; the operator finds the whole story in Ray's logs, which the text names."""

    code = "start_failed"

    def __init__(self, step: str, reason: str, logs: str) -> None:
        super().__init__(step, reason, logs)
        self.step = step
        self.reason = reason
        self.logs = logs
        """The folder of Ray's log files."""

    def __str__(self) -> str:
        return f"{self.step} failed: {self.reason}\nRay's logs are in {self.logs}"


class DataFolderError(RefusedError):
    """Files cannot be made in the data folder; the operator mends it or names another."""

    code = "data_folder"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"the data folder {self.path} cannot be used: {self.reason}; name another with GREENROOM_DATA_DIR"


class DataInUseError(RefusedError):
    """Another Greenroom runs on the same data; the caller stops that one or names another data folder."""

    code = "data_in_use"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"another Greenroom runs on the data in {self.path}; stop it, or name other data with GREENROOM_DATA_DIR"


class DatabaseUnusableError(UnavailableError):
    """The database is none, or cannot be reached or written; the operator sees to that."""

    code = "database_unusable"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(database, reason)
        self.database = database
        """Its URL, without a password."""
        self.reason = reason

    def __str__(self) -> str:
        return f"the database {self.database} cannot be used: {self.reason}"


class BackupFolderError(RefusedError):
    """The folder cannot take a backup; the caller names another."""

    code = "backup_folder"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot take a backup: {self.reason}; name a new or empty folder"
