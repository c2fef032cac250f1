"""The errors of Greenroom: one base, three families by what the caller does next, and the graph's own leaves.

GreenroomError
  RefusedError       fix the request
  UnavailableError   try again later
  DefectError        a fault of ours: report it

Fields go positionally to ``super().__init__`` and the sentence is made in ``__str__``: only then does an
error survive the way between processes with its class and attributes. To a process of another version that does not
know the class, or makes it from other fields, it comes as its family, with code and text.
"""

import pickle
from typing import Any, ClassVar


class GreenroomError(Exception):
    """Base of every error that Greenroom raises on purpose."""

    code: ClassVar[str] = "greenroom_error"
    """Stable snake_case name that clients may match."""
    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without a change."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how the other side of a process border gets this error."""
        try:
            content = pickle.dumps((type(self), self.args, vars(self)))
        except Exception:  # boundary: another process  # noqa: BLE001
            # A field that cannot cross does not keep the rest.
            content = b""
        family = next(each for each in type(self).__mro__ if each in _FAMILIES)
        return received, (content, family, self.code, str(self))


class RefusedError(GreenroomError):
    """The request cannot be served as it is; the caller fixes it."""

    code = "refused"


class UnavailableError(GreenroomError):
    """Something needed is not there now; the caller tries again after ``retry_after_s`` seconds."""

    code = "unavailable"
    retryable = True
    retry_after_s: float = 1.0


class DefectError(GreenroomError):
    """A state that cannot occur if Greenroom is right; its developers fix it."""

    code = "defect"


_FAMILIES = (RefusedError, UnavailableError, DefectError, GreenroomError)


def received(content: bytes, family: type[GreenroomError], code: str, text: str) -> GreenroomError:
    """Return an error from another process; the unpickler of this one looks for this function under its name.

    Args:
        content: its pickled class, arguments and fields; empty where they could not be pickled.
        family: the base to fall back to where this version cannot make such an error.
        code: its code.
        text: its sentence.
    """
    try:
        kind, args, fields = pickle.loads(content)
        error = kind(*args)
        vars(error).update(fields)
        return error
    except Exception:  # boundary: another process  # noqa: BLE001
        # Whatever a class of another version raises here, its code and text are to arrive.
        kind = type(family.__name__, (family,), {"code": code, "__str__": lambda error: text})
        return kind(text)


class InvalidWorkflowError(RefusedError):
    """The document is not a workflow, or its graph cannot run; its author fixes the listed places."""

    code = "invalid_workflow"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults
        """One "<path in the file>: <what is wrong>" for each fault."""

    def __str__(self) -> str:
        return "the workflow has faults:\n" + "\n".join(f"- {fault}" for fault in self.faults)


class InvalidInputError(RefusedError):
    """A start input does not fit the form of the start node; the caller fixes it."""

    code = "invalid_param"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class NodeError(RefusedError):
    """A node could not do its work; fails the node with this text, or takes its error strategy."""

    code = "node_failed"

    def __init__(
        self,
        message: str,
        error_type: str = "NodeError",
        outputs: dict[str, Any] | None = None,
        process_data: dict[str, Any] | None = None,
    ) -> None:
        shown = (outputs, process_data)
        super().__init__(message, error_type, *(shown if any(each is not None for each in shown) else ()))
        self.message = message
        self.error_type = error_type
        """Name that the workflow's fail branch sees as ``error_type``."""
        self.outputs = outputs
        """Outputs that the failed node shows all the same; None for the usual none."""
        self.process_data = process_data
        """What the record of the failed node shows of how it worked; None for nothing."""

    def __str__(self) -> str:
        return self.message


class RunLeftError(UnavailableError):
    """A run was left between two nodes, as was asked for; whoever takes it over goes on with it."""

    code = "run_left"

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"run {self.run_id} goes on in another process"


class SnapshotVersionError(DefectError):
    """A snapshot or journal was written by a version that this one cannot read; upgrade step by step."""

    code = "snapshot_version"

    def __init__(self, found: int, known: int) -> None:
        super().__init__(found, known)
        self.found = found
        self.known = known

    def __str__(self) -> str:
        return f"the stored run state has version {self.found}; this Greenroom reads up to {self.known}"
