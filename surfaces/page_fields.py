"""What a person has entered on a page, as a browser sends it."""

from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request

from surfaces.errors import BadRequestError, UnsupportedMediaTypeError
from surfaces.schemas import read_body

_MAX_FIELDS: Final = 200
_FORM_TYPE: Final = "application/x-www-form-urlencoded"


async def entered_fields(request: Request, limit_bytes: int) -> dict[str, str]:
    """Return the fields of a sent page, name -> text; line breaks are those of the person's text.

    Raises:
        UnsupportedMediaTypeError: it was not sent by a page.
        BodyTooLargeError: it has more than ``limit_bytes``.
        BadRequestError: it cannot be read.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        raise UnsupportedMediaTypeError(_FORM_TYPE)
    body = await read_body(request, limit_bytes)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise BadRequestError("The fields of the page cannot be read.") from error
    # A browser sends every line break of a text field as CR LF.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}
