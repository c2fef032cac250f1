"""Messages of a prompt between the variable pool and the model: read from the pool at once, completed afterwards.

A step reads the pool before its first await. Rendering a jinja2 text may need the sandbox, and an image has to be
read from the file store: both come after that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graph.errors import NodeError
from graph.jinja_template import MAX_OUTPUT_CHARACTERS, SANDBOX_REQUIRED, JinjaTemplate, too_long
from graph.ports import ChatMessage, CodeSandbox, Effects, Files, ImagePart


@dataclass(slots=True)
class Draft:
    """A message to be. ``template`` with ``values``: its text is still to be rendered.

    ``files``: file mappings whose images go along; ``after``: what happens to the rendered text.
    """

    role: str
    text: str = ""
    template: JinjaTemplate | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[dict[str, Any]] = ()
    after: Callable[[str], str] | None = None


async def complete(drafts: Sequence[Draft], effects: Effects, detail: str) -> tuple[ChatMessage, ...]:
    """Return the messages of ``drafts``, texts rendered and images read.

    Args:
        drafts: in order.
        effects: the ports of the node.
        detail: how closely the model shall look at images.

    Raises:
        NodeError: a jinja2 text fails, or an image cannot be read.
    """
    messages = []
    for draft in drafts:
        text = draft.text
        if draft.template is not None:
            text = await render_jinja(draft.template, draft.values, effects.code)
        if draft.after is not None:
            text = draft.after(text)
        messages.append(ChatMessage(draft.role, text, await _images(draft.files, effects.files, detail)))
    return tuple(messages)


async def render_jinja(template: JinjaTemplate, values: Mapping[str, Any], sandbox: CodeSandbox) -> str:
    """Return a prompt's jinja2 text: rendered in process where its cost is bounded, else in the sandbox.

    Raises:
        NodeError: the template fails, or needs a sandbox that is not there.
    """
    try:
        return template.render(values)
    except NodeError as error:
        if error.error_type != SANDBOX_REQUIRED:
            raise
    text = await sandbox.render(template.source, dict(values))
    if len(text) > MAX_OUTPUT_CHARACTERS:
        raise too_long(MAX_OUTPUT_CHARACTERS)
    return text


async def _images(files: Sequence[dict[str, Any]], store: Files, detail: str) -> tuple[ImagePart, ...]:
    # Other kinds of files are for other nodes: a chat reads its documents with a document extractor.
    images = [file for file in files if file.get("type") == "image"]
    return tuple([await _image(file, store, detail) for file in images])


async def _image(file: dict[str, Any], store: Files, detail: str) -> ImagePart:
    name = str(file.get("filename") or file.get("url") or "")
    return ImagePart(await store.read(file), str(file.get("mime_type") or "image/png"), detail, name)


def task_drafts(mode: str, system: str, query: str) -> list[Draft]:
    """Return the prompt of a task on the text ``query`` whose answer is a JSON object, for a model of ``mode``."""
    if mode == "completion":
        return [Draft("user", f"{system}\n\nThe text:\n{query}\n\nThe JSON object:\n")]
    return [Draft("system", system), Draft("user", query)]


def with_files(drafts: Sequence[Draft], files: Sequence[dict[str, Any]]) -> list[Draft]:
    """Return ``drafts`` with ``files`` in the last message, if the user speaks there, else in one of their own."""
    drafts = list(drafts)
    images = [file for file in files if file.get("type") == "image"]
    if not images:
        return drafts
    if drafts and drafts[-1].role == "user":
        drafts[-1].files = [*images, *drafts[-1].files]
    else:
        drafts.append(Draft("user", files=images))
    return drafts
