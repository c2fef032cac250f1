"""What can go wrong with the image and the workers of the code sandbox."""

from graph.errors import RefusedError, UnavailableError

MEND = "run `greenroom sandbox build`"


class ImageMissingError(RefusedError):
    """The image of the code sandbox is not there; the operator builds it. Code never runs without it."""

    code = "sandbox_image_missing"

    def __str__(self) -> str:
        return f"the code sandbox is not built: {MEND}"


class ImageBuildError(UnavailableError):
    """The image of the code sandbox could not be built; the operator mends what the text names and builds again."""

    code = "sandbox_image_build"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the code sandbox could not be built: {self.reason}\n"
            f"Until it is, code nodes and templates that need it fail. Once that is mended, {MEND}."
        )


class WorkerFailedError(UnavailableError):
    """A worker of the code sandbox did not start, or ended in the middle of a run."""

    code = "sandbox_worker_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the code sandbox failed: {self.reason}"


class OutOfTimeError(RefusedError):
    """A run was stopped by killing its worker at the end of its time."""

    code = "sandbox_out_of_time"

    def __str__(self) -> str:
        return "the run was stopped at the end of its time"
