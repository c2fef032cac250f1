"""Files that an answer names by their address: looked at before the HITL actor is asked, which reaches nothing outside.

Each is fetched within the limits of an upload, and what was learned of it goes along with the answer; without that no
answer is taken. Nothing is kept: the value of such a file is its address, and who reads it later fetches it again.

Source: spec/hitl.md 3.5, spec/beyond.md 2.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from actors.messages import KnownFiles, SubmitOrder
from effects.guarded_client import RemoteLook
from effects.media_type import HEAD_BYTES, OCTETS, media_type_of
from graph.errors import NodeError, RefusedError
from graph.file_value import extension_of, kind_of, max_bytes
from hitl.answer_file import FileFacts, name_in_url, remote_addresses
from hitl.digest import check_answerable
from hitl.errors import InvalidSubmissionError
from hitl.form import Form, FormDefinition, FormStatus
from hitl.submission import validate_submission

MAX_ADDRESSES: Final = 20
"""How many files one answer may name by their address."""
LOOK_TIMEOUT_S: Final = 120.0
"""For all files of one answer together."""


class RemoteLooks(Protocol):
    """Looks at what lies at addresses that strangers choose."""

    async def look(self, url: str, limit_bytes: int, head_bytes: int) -> RemoteLook:
        """Return what lies at ``url``; NodeError where it cannot be had or is too large."""
        ...


async def with_remote_files(
    form: Form, order: SubmitOrder, remote: RemoteLooks, now: float, blocked: Collection[str] = ()
) -> SubmitOrder:
    """Return ``order`` with what was learned of the files that it names by their address.

    Args:
        form: the form that is answered.
        order: the answer.
        remote: fetches.
        now: Unix seconds.
        blocked: extensions, with their dot, that files may not have.

    Raises:
        InvalidSubmissionError: as ``remote_files``.
    """
    addresses = remote_addresses(form.definition.inputs, order.inputs)
    if not addresses:
        return order
    if form.status is FormStatus.SUBMITTED:
        # Only to be compared with the answer that was given.
        return replace(order, files=KnownFiles(order.files.uploads, _by_name(addresses)))
    try:
        check_answerable(form, order.form_digest, now)
    except RefusedError:
        # The HITL actor refuses it for the same reason.
        return order
    files = await remote_files(form.definition, order.action, order.inputs, order.files, remote, blocked)
    return replace(order, files=files)


async def remote_files(
    asked: FormDefinition,
    action: str,
    inputs: Mapping[str, Any],
    known: KnownFiles,
    remote: RemoteLooks,
    blocked: Collection[str] = (),
) -> KnownFiles:
    """Return ``known`` and what was learned of the files that an answer names by their address.

    Nothing is fetched for an answer that cannot be taken whatever lies there.

    Args:
        asked: the form.
        action: id of the chosen action.
        inputs: input name -> value, as submitted.
        known: the uploads that the submitter may use.
        remote: fetches.
        blocked: extensions, with their dot, that files may not have.

    Raises:
        InvalidSubmissionError: the answer does not fit, or a file cannot be had or is not taken; the text names the
            input, and not why it cannot be had: that could say what lies behind the address.
    """
    addresses = remote_addresses(asked.inputs, inputs)
    if not addresses:
        return known
    by_name = _by_name(addresses)
    validate_submission(_of_any_type(asked), action, inputs, KnownFiles(known.uploads, by_name))
    if len(by_name) > MAX_ADDRESSES:
        raise _refused(addresses[-1][0], f"an answer may name at most {MAX_ADDRESSES} files by their address")
    found: dict[str, FileFacts] = {}
    give_up_at = asyncio.get_running_loop().time() + LOOK_TIMEOUT_S
    for where, url in addresses:
        if url not in found:
            found[url] = await _facts(where, url, remote, blocked, give_up_at)
    return KnownFiles(known.uploads, found)


async def _facts(where: str, url: str, remote: RemoteLooks, blocked: Collection[str], give_up_at: float) -> FileFacts:
    name = name_in_url(url) or ""
    if extension_of(name) in blocked:
        raise _refused(where, f"file extension {extension_of(name)} is not allowed")
    try:
        async with asyncio.timeout_at(give_up_at):
            look = await remote.look(url, max_bytes(kind_of(name, None)), HEAD_BYTES)
    except (NodeError, TimeoutError) as error:
        raise _refused(where, "the file at this address cannot be fetched") from error
    seen = media_type_of(name, look.head)
    if seen is None:
        raise _refused(where, f"the content at this address is not that of a {extension_of(name)} file")
    mime_type = (look.mime_type or None) if seen == OCTETS else seen
    if look.size_bytes > max_bytes(kind_of(name, mime_type)):
        raise _refused(where, "the file at this address is too large")
    return FileFacts(name, mime_type, look.size_bytes)


def _by_name(addresses: Iterable[tuple[str, str]]) -> dict[str, FileFacts]:
    """Return address -> what its name says."""
    return {url: FileFacts(name_in_url(url) or "") for _, url in addresses}


def _of_any_type(definition: FormDefinition) -> FormDefinition:
    """Return the form as it would be if every file input took every type: what a file is, is still to be seen."""
    inputs: list[dict[str, Any]] = [
        {name: value for name, value in declared.items() if name != "allowed_file_types"}
        for declared in definition.inputs
    ]
    return replace(definition, inputs=inputs)


def _refused(where: str, reason: str) -> InvalidSubmissionError:
    return InvalidSubmissionError(f"Invalid value for {where}: {reason}")
