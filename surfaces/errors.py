"""What can be wrong with a request as such, before anything is run or decided. The client corrects it.

RequestError
  UnauthorizedError  BadRequestError  InvalidParamError  ResourceNotFoundError  FormGuardError
  NoFileUploadedError  TooManyFilesError  FilenameMissingError  FileTypeMissingError  FileTooLargeError
  StoredFileNotFoundError  FileAccessDeniedError
"""

from graph.errors import DefectError, RefusedError, UnavailableError


class RequestError(RefusedError):
    """A request that cannot be served as it is, for the reason in its text; the client corrects it."""

    code = "bad_request"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UnauthorizedError(RequestError):
    """The request has no credential, or none that counts; the client sends a valid one."""

    code = "unauthorized"


class BadRequestError(RequestError):
    """The request cannot be read; the client corrects its form."""

    code = "bad_request"


class InvalidParamError(RequestError):
    """A parameter is missing or has a value that cannot be; the text names it."""

    code = "invalid_param"


class ResourceNotFoundError(RequestError):
    """What the path names does not exist for this caller."""

    code = "not_found"


class FormGuardError(RequestError):
    """A form was sent from somewhere else than its own page; the person opens the page again and sends it there."""

    code = "forbidden"


class NoFileUploadedError(RequestError):
    """An upload without a file; the client sends one in the field ``file``."""

    code = "no_file_uploaded"


class TooManyFilesError(RequestError):
    """An upload of several files; the client sends them one by one."""

    code = "too_many_files"


class FilenameMissingError(RequestError):
    """An uploaded file without a name; the client names it."""

    code = "filename_not_exists_error"


class FileTypeMissingError(RequestError):
    """An uploaded file without a media type; the client says what it is."""

    code = "unsupported_file_type"


class FileTooLargeError(RequestError):
    """An uploaded file is larger than files of its kind may be; the client sends a smaller one."""

    code = "file_too_large"


class StoredFileNotFoundError(RequestError):
    """No file has this id here, or the link to it is not valid any more; the client checks the id or asks again."""

    code = "file_not_found"


class FileAccessDeniedError(RequestError):
    """The file belongs to another user of the app; the client names its owner."""

    code = "file_access_denied"


class UnsupportedMediaTypeError(RefusedError):
    """The body is not of the content type that the endpoint reads; the client sends that one."""

    code = "unsupported_media_type"

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted

    def __str__(self) -> str:
        return f"The request must have the content type {self.wanted}."


class BodyTooLargeError(RefusedError):
    """The body is larger than any sensible one; the client sends less."""

    code = "request_entity_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return f"The request body must not exceed {self.limit_bytes} bytes."


class WrongAppModeError(RefusedError):
    """The key belongs to an app of another mode; the client uses the endpoints of that mode."""

    code = "not_workflow_app"

    def __str__(self) -> str:
        return "Please check if your app mode matches the right API route."


class AppUnavailableError(RefusedError):
    """The app has no published workflow, or one that cannot run; its author publishes one."""

    code = "app_unavailable"

    def __str__(self) -> str:
        return "App unavailable, please check your app configurations."


class JournalGapError(DefectError):
    """The facts of a run do not begin with its start, so nothing can be told of it."""

    code = "journal_gap"

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"the journal of run {self.run_id} does not begin with its start"


class NotReadyError(UnavailableError):
    """Database or actors do not answer in time; try again later."""

    code = "not_ready"

    def __init__(self, within_s: float) -> None:
        super().__init__(within_s)
        self.within_s = within_s

    def __str__(self) -> str:
        return f"database and actors have not all answered within {self.within_s:g} s"
