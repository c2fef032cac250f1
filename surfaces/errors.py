"""What can be wrong with a request as such, before anything is run or decided. The client corrects it.

RequestError
  UnauthorizedError  BadRequestError  InvalidParamError  InvalidBodyError  ExternalSsoError  ResourceNotFoundError
  FormGuardError  NoSiteError
  LoginFailedError  NotSetUpError  AlreadySetUpError  CsrfError  RoleError
  ConsoleAppError  DraftMissingError
  NoFileUploadedError  TooManyFilesError  FilenameMissingError  FileTypeMissingError  FileTooLargeError
  StoredFileNotFoundError  FileAccessDeniedError
  FileContentError  FileExtensionBlockedError  RemoteFileError

UploadTokenError, RateLimitError, FormRateLimitError and the others stand beside it.
"""

from typing import Any

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


class InvalidBodyError(InvalidParamError):
    """A body does not have the shape of its schema; the text names each field and what is wrong with it.

    ``details``: the same for programs, ``{type, loc, msg}`` each.
    """

    def __init__(self, message: str, details: tuple[dict[str, Any], ...]) -> None:
        RefusedError.__init__(self, message, details)
        self.message = message
        self.details = details


class ExternalSsoError(RequestError):
    """The token is of an identity provider outside, and none is connected; the client uses a token of an account."""

    code = "external_sso_requires_ee"


class ResourceNotFoundError(RequestError):
    """What the path names does not exist for this caller."""

    code = "not_found"


class LoginRequiredError(RefusedError):
    """Nobody is logged in to the console, or not any more; the person logs in."""

    code = "unauthorized"

    def __str__(self) -> str:
        return "Unauthorized."


class LoginFailedError(RequestError):
    """The address and the password do not belong together; the person tries again."""

    code = "authentication_failed"


class NotSetUpError(RequestError):
    """No account has a password yet; the operator sets the first one."""

    code = "not_setup"


class AlreadySetUpError(RequestError):
    """The first password was set before; the person logs in, or the operator sets a new password."""

    code = "already_setup"


class CsrfError(RequestError):
    """A change that came with cookies does not show the login's CSRF token; the client sends it along."""

    code = "unauthorized"


class RoleError(RequestError):
    """The account's role in the workspace does not allow this; somebody with another role does it."""

    code = "forbidden"


class ConsoleAppError(RequestError):
    """The workspace has no such app; the client checks the id."""

    code = "app_not_found"


class DraftMissingError(RequestError):
    """The app has no draft; its author imports a file or saves one."""

    code = "draft_workflow_not_exist"


class FormGuardError(RequestError):
    """A form was sent from somewhere else than its own page; the person opens the page again and sends it there."""

    code = "forbidden"


class NoSiteError(RequestError):
    """The app of a form has no site, so its form is not given to programs there; its operator imports it again."""

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


class FileContentError(RequestError):
    """The form takes no such file, or its content is not what its name says; the person chooses another."""

    code = "unsupported_file_type"


class FileExtensionBlockedError(RequestError):
    """Files with this extension are not taken here; the client sends another."""

    code = "file_extension_blocked"


class RemoteFileError(RequestError):
    """The file at an address cannot be had; the client checks the address or sends the file itself."""

    code = "remote_file_upload_error"


class UploadTokenError(RefusedError):
    """The upload token is missing, malformed or worthless; the client asks for one with its form token.

    ``status``: the HTTP status; one code stands for three of them.
    """

    code = "invalid_upload_token"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message


class RateLimitError(UnavailableError):
    """A caller asks too often; the client tries again after ``retry_after_s`` seconds."""

    code = "too_many_requests"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return "Too many requests. Please try again later."


class FormRateLimitError(RateLimitError):
    """A form was opened, answered or uploaded to too often; the person tries again after ``retry_after_s`` seconds."""

    code = "web_form_rate_limit_exceeded"


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


class NotChatAppError(RefusedError):
    """The key belongs to an app without conversations; the client uses the endpoints of workflows."""

    code = "not_chat_app"

    def __str__(self) -> str:
        return "Please check if your app mode matches the right API route."


class MessageFailedError(RefusedError):
    """The run of a message has failed, for the reason in its text; the workflow's author or the caller mends it."""

    code = "invalid_param"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Run failed: {self.reason}"


class AppUnavailableError(RefusedError):
    """The app has no published workflow, or one that cannot run; its author publishes one."""

    code = "app_unavailable"

    def __str__(self) -> str:
        return "App unavailable, please check your app configurations."


class TooManyLoginsError(UnavailableError):
    """The password of this address was tried too often; the person waits ``retry_after_s`` seconds."""

    code = "email_code_login_limit"
    retry_after_s = 900.0

    def __str__(self) -> str:
        return "Too many incorrect password attempts. Please try again later."


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
