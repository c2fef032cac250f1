"""Reads pages of the web, through the guarded HTTP port."""

import asyncio

from effects.tools.errors import ToolFailedError
from effects.tools.page_text import page_text
from effects.tools.parameters import Parameters
from graph.ports import Files, Http, HttpCall, ToolMessage

_AGENT = "Mozilla/5.0 (compatible; Greenroom)"
_TEXT_CHARS = 200_000
"""How much of a page is given on."""
_ERROR_STATUS = 400


async def webscraper(parameters: Parameters, http: Http, files: Files, idempotency_key: str) -> list[ToolMessage]:
    """Give the readable text of the page at ``url``; a document is read as such."""
    headers = (("User-Agent", parameters.text("user_agent", _AGENT)), ("Accept", "text/html,*/*;q=0.8"))
    reply = await http.send(
        HttpCall("GET", parameters.text("url"), headers=headers, read_timeout_s=60.0, idempotency_key=idempotency_key)
    )
    if reply.status_code >= _ERROR_STATUS:
        raise ToolFailedError(parameters.tool, f"the page answered with HTTP status {reply.status_code}")
    if reply.file is not None:
        return [ToolMessage("text", (await files.extract_text(reply.file))[:_TEXT_CHARS])]
    kind = next((value for name, value in reply.headers.items() if name.lower() == "content-type"), "text/html")
    if "html" not in kind:
        return [ToolMessage("text", reply.text[:_TEXT_CHARS])]
    title, text = await asyncio.to_thread(page_text, reply.text)
    return [ToolMessage("text", f"TITLE: {title}\nTEXT:\n{text}"[:_TEXT_CHARS])]
