"""What can go wrong between processes: busy and absent actors, a full queue, runs that are elsewhere, bad secrets."""

from graph.errors import DefectError, RefusedError, UnavailableError


class BusyError(UnavailableError):
    """The run actor executes another run, or honours this lease no more; the caller asks for another lease."""

    code = "run_actor_busy"
    retry_after_s = 0.0

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id
        """The run that it executes, "" for none."""

    def __str__(self) -> str:
        return f"the run actor executes run {self.run_id}" if self.run_id else "the lease of the run actor is over"


class QueueFullError(UnavailableError):
    """As many starts wait for an actor as may wait; the client tries again later, or the operator raises the pool."""

    code = "too_many_requests"
    retry_after_s = 5.0

    def __init__(self, waiting_count: int) -> None:
        super().__init__(waiting_count)
        self.waiting_count = waiting_count

    def __str__(self) -> str:
        return f"{self.waiting_count} runs already wait for an actor; try again later"


class NoMailServerError(RefusedError):
    """There is nothing to hand a mail to; the operator names a mail server."""

    code = "no_mail_server"

    def __str__(self) -> str:
        return "no mail server is configured: set GREENROOM_SMTP_URL"


class NotMailMethodError(RefusedError):
    """The node has no e-mail delivery method of this id; the author names another, or adds it."""

    code = "invalid_param"

    def __init__(self, delivery_method_id: str) -> None:
        super().__init__(delivery_method_id)
        self.delivery_method_id = delivery_method_id

    def __str__(self) -> str:
        return f"delivery_method_id: {self.delivery_method_id!r} is no e-mail delivery method of this node"


class NoMailRecipientsError(RefusedError):
    """The delivery method reaches nobody; the author adds recipients that have an address."""

    code = "no_mail_recipients"

    def __str__(self) -> str:
        return "this delivery method has no recipients with an e-mail address"


class ActorAwayError(UnavailableError):
    """An actor does not answer, because it restarts or is gone; the caller tries again."""

    code = "actor_away"

    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.actor = actor

    def __str__(self) -> str:
        return f"the actor {self.actor} is away"


class RunElsewhereError(RefusedError):
    """Another actor executes this run; the caller turns to that one, or follows the journal."""

    code = "run_elsewhere"

    def __init__(self, run_id: str, actor: str) -> None:
        super().__init__(run_id, actor)
        self.run_id = run_id
        self.actor = actor

    def __str__(self) -> str:
        return f"run {self.run_id} is executed by {self.actor}"


class CodeVersionError(RefusedError):
    """The actors of this cluster run other code than this process; the operator deploys again or updates this one."""

    code = "code_version"

    def __init__(self, actor: str, found: str, ours: str) -> None:
        super().__init__(actor, found, ours)
        self.actor = actor
        self.found = found
        self.ours = ours

    def __str__(self) -> str:
        return f"the actor {self.actor} runs version {self.found}, this process {self.ours}"


class SecretsFileError(RefusedError):
    """The secrets file cannot be used; the operator corrects it. The text never quotes its content."""

    code = "secrets_file"

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(path, fault)
        self.path = path
        self.fault = fault

    def __str__(self) -> str:
        return f"the secrets file {self.path} cannot be used: {self.fault}"


class KeyMismatchError(RefusedError):
    """The form token key is not the one this database was used with; the operator mounts the right secrets file."""

    code = "key_mismatch"

    def __init__(self, found: str, ours: str) -> None:
        super().__init__(found, ours)
        self.found = found
        self.ours = ours

    def __str__(self) -> str:
        return f"the database was used with form token key {self.found}, the secrets file holds {self.ours}"


class SingleNodeDatabaseError(RefusedError):
    """The database is a SQLite file and the cluster has several nodes; the operator moves to PostgreSQL."""

    code = "single_node_database"

    def __init__(self, node_count: int) -> None:
        super().__init__(node_count)
        self.node_count = node_count

    def __str__(self) -> str:
        return (
            f"the Ray cluster has {self.node_count} nodes, and a SQLite file serves one: "
            "set GREENROOM_DATABASE_URL=postgresql://…, or take the other nodes away"
        )


class RunGivenUpError(DefectError):
    """A run killed its actor as often as it may; its text, with what ended the last one, becomes the run's error.

    A run that has no fact yet is not stored: its start gets this error.
    """

    code = "run_given_up"

    def __init__(self, recovery_count: int, cause: str = "") -> None:
        super().__init__(recovery_count, cause)
        self.recovery_count = recovery_count
        self.cause = cause
        """See ``actors.death_cause``."""

    def __str__(self) -> str:
        text = f"the run was given up: the process that executed it died again after {self.recovery_count} recoveries"
        return f"{text}; the last time {self.cause}" if self.cause else text


class ReadingsFullError(UnavailableError):
    """Too many readings of forms wait for the HITL actor to note them; the reader tries again when it is back."""

    code = "readings_full"

    def __str__(self) -> str:
        return "the form cannot be shown now, because it cannot be noted who has read it"
