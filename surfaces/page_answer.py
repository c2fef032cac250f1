"""What a person has sent from the form page: its fields, its files, and the answer they make.

A page comes as an ordinary web form, as multipart where it has files. Files are kept as they come, also when the answer
does not fit, so that nobody uploads twice; the page names those that are there by their ids.

    input.NAME   text of an input          file.NAME   files of an input
    kept.NAME    ids of files sent before  url.NAME    addresses of files, one a line
    action, guard

Source: spec/hitl.md 3.5 and 3.7.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import UploadFile

from graph.file_value import FILE_KINDS, kind_of
from hitl.form import Form
from hitl.recipient import Recipient
from store.errors import UploadLimitError
from store.file_record import FileOwner, FileRecord
from surfaces.errors import BadRequestError, FileContentError, RequestError, UnsupportedMediaTypeError
from surfaces.form_uploads import FILE_TYPES, check_wanted, initiator_of, kept
from surfaces.ports import SurfacePorts
from surfaces.schemas import read_body
from surfaces.uploads import is_multipart, multipart_form, plain_name, seen

FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 200


@dataclass(frozen=True, slots=True)
class SentPage:
    """The fields of a sent page: name -> text, and name -> files."""

    texts: Mapping[str, list[str]]
    files: Mapping[str, list[UploadFile]]

    def text(self, name: str) -> str | None:
        """Return the last text of a field, None where it was not sent."""
        found = self.texts.get(name)
        return found[-1] if found else None


@dataclass(slots=True)
class PageAnswer:
    """An answer in the making. ``inputs``: as it is submitted; the rest is for showing the page again.

    ``texts``: input name -> what was entered; ``kept``: input name -> its files; ``faults``: input name -> what is
    wrong with it.
    """

    inputs: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[FileRecord]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def sent_page(request: Request, ports: SurfacePorts) -> AsyncGenerator[SentPage]:
    """Give the fields of a sent page; its files are gone afterwards.

    Raises:
        UnsupportedMediaTypeError: the body is no web form.
        FileTooLargeError: it is larger than the largest file.
        BodyTooLargeError: it is larger than any sensible page without files.
        BadRequestError: it cannot be read.
    """
    if is_multipart(request):
        async with multipart_form(request, ports.max_body_bytes) as form:
            texts, files = _sorted(form.multi_items())
            yield SentPage(texts, files)
        return
    yield await sent_texts(request, ports.max_body_bytes)


async def sent_texts(request: Request, limit_bytes: int) -> SentPage:
    """Return the fields of a sent page that has no files.

    Raises:
        UnsupportedMediaTypeError: the body is no web form, or one with files.
        BodyTooLargeError: it has more than ``limit_bytes``.
        BadRequestError: it cannot be read.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise UnsupportedMediaTypeError(FORM_TYPE)
    body = await read_body(request, limit_bytes)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise BadRequestError("The fields of the page cannot be read.") from error
    return SentPage(*_sorted(list(pairs)))


def _sorted(items: list[tuple[str, Any]]) -> tuple[dict[str, list[str]], dict[str, list[UploadFile]]]:
    texts: dict[str, list[str]] = {}
    files: dict[str, list[UploadFile]] = {}
    for name, value in items:
        if isinstance(value, UploadFile):
            # A browser sends a file field without a file as one without name and content.
            if value.filename or value.size:
                files.setdefault(name, []).append(value)
        else:
            # A browser sends every line break of a text field as CR LF. Odd charsets can give halves of characters.
            text = value.replace("\r\n", "\n").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            texts.setdefault(name, []).append(text)
    return texts, files


async def page_answer(sent: SentPage, form: Form, recipient: Recipient, ports: SurfacePorts) -> PageAnswer:
    """Return the answer that a sent page makes for ``recipient``, its files kept."""
    answer = PageAnswer()
    declared_files = []
    for declared in form.definition.inputs:
        name = declared["output_variable_name"]
        if declared.get("type") in FILE_TYPES:
            declared_files.append(declared)
        elif (text := sent.text(f"input.{name}")) is not None:
            answer.inputs[name] = answer.texts[name] = text
    if declared_files:
        owner = await initiator_of(form, ports)
        await _add_files(answer, declared_files, sent, recipient, owner, ports)
    return answer


async def _add_files(
    answer: PageAnswer,
    inputs: list[dict[str, Any]],
    sent: SentPage,
    recipient: Recipient,
    owner: FileOwner | None,
    ports: SurfacePorts,
) -> None:
    named = [file_id for each in inputs for file_id in sent.texts.get(f"kept.{each['output_variable_name']}", ())]
    before = await ports.files.table.of_recipient(recipient.form_id, recipient.recipient_id, named)
    for declared in inputs:
        name = declared["output_variable_name"]
        ids = dict.fromkeys(sent.texts.get(f"kept.{name}", ()))
        records = [before[file_id] for file_id in ids if file_id in before]
        new = await _new_files(answer, declared, sent.files.get(f"file.{name}", []), recipient, owner, ports)
        lines = (sent.text(f"url.{name}") or "").splitlines()
        urls = [line.strip() for line in lines if line.strip()]
        answer.texts[name] = "\n".join(urls)
        is_list = declared.get("type") == "file-list"
        if not is_list and (new or urls):
            # What is chosen now takes the place of what was there.
            records = []
        if not is_list and new:
            urls = []
        answer.kept[name] = [*records, *new]
        mappings = [_mapping_of(record) for record in answer.kept[name]]
        mappings += [_mapping_of_url(url, declared) for url in urls]
        if is_list:
            answer.inputs[name] = mappings
        elif mappings:
            answer.inputs[name] = mappings[0]
        elif name not in answer.faults:
            answer.faults[name] = "Please choose a file."


async def _new_files(
    answer: PageAnswer,
    declared: Mapping[str, Any],
    files: list[UploadFile],
    recipient: Recipient,
    owner: FileOwner | None,
    ports: SurfacePorts,
) -> list[FileRecord]:
    """Return the new files of an input as they are kept from now on; what cannot be kept becomes a fault."""
    faults, records = [], []
    for file in files:
        try:
            if owner is None:
                raise FileContentError("Files cannot be taken for this form.")
            upload = await seen(file, ports)
            check_wanted([declared], upload)
            record = await kept(upload, recipient, owner, ports)
        except (RequestError, UploadLimitError) as error:
            faults.append(f"{plain_name(file.filename or '')}: {error}")
        else:
            records.append(record)
    if faults:
        answer.faults[declared["output_variable_name"]] = " ".join(faults)
    return records


def _mapping_of(record: FileRecord) -> dict[str, str]:
    kind = kind_of(record.name, record.mime_type)
    return {"transfer_method": "local_file", "upload_file_id": record.file_id, "type": kind}


def _mapping_of_url(url: str, declared: Mapping[str, Any]) -> dict[str, str]:
    """Return the mapping of a file elsewhere; where its name says nothing it is taken for what is asked for."""
    allowed = [each for each in declared.get("allowed_file_types") or () if each in FILE_KINDS]
    return {"transfer_method": "remote_url", "url": url, "type": allowed[0] if allowed else "custom"}
