"""What an http-request node sends: its data, the texts rendered, the body, and how the request reads in the record.

Source: spec/graph.md 2.8.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from graph.errors import NodeError
from graph.json_repair_bounds import repaired_json
from graph.nodes.kind import NodeData
from graph.ports import Files
from graph.template import Template
from graph.value_types import MASK, files_in
from graph.variable_pool import VariablePool, is_file

_CONTENT_TYPES = {
    "json": "application/json",
    "x-www-form-urlencoded": "application/x-www-form-urlencoded",
    "raw-text": "text/plain",
}
_MAX_SHOWN_CHARS = 100_000
"""How much of a body the record of a node shows."""


class AuthorizationConfig(BaseModel):
    """The key that a request carries and how."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["basic", "bearer", "custom"] | None = None
    api_key: str | None = Field(default=None, repr=False)
    header: str | None = None


class Authorization(BaseModel):
    """Whether a request carries a key."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["no-auth", "api-key"] = "no-auth"
    config: AuthorizationConfig | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "Authorization":
        if self.type == "no-auth":
            self.config = None
        elif self.config is None:
            raise ValueError("config should be a dict")
        return self


class BodyItem(BaseModel):
    """A piece of a body: text, or the selector of a file."""

    model_config = ConfigDict(extra="ignore")

    key: str = ""
    type: Literal["text", "file"] = "text"
    value: str = ""
    file: list[str] = Field(default_factory=list)

    @field_validator("key", "value", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return "" if value is None else value

    @field_validator("file", mode="before")
    @classmethod
    def _null_is_none_selected(cls, value: Any) -> Any:
        return [] if value is None else value


class Body(BaseModel):
    """The body of a request; a plain text stands for one text item."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["none", "form-data", "x-www-form-urlencoded", "raw-text", "json", "binary"] = "none"
    data: list[BodyItem] = Field(default_factory=list)

    @field_validator("data", mode="before")
    @classmethod
    def _text_is_one_item(cls, value: Any) -> Any:
        if not value:
            return []
        return [{"type": "text", "value": value}] if isinstance(value, str) else value


class Timeout(BaseModel):
    """Seconds; absent or 0 means the default."""

    model_config = ConfigDict(extra="ignore")

    connect: float | None = None
    read: float | None = None
    write: float | None = None


class HttpRequestData(NodeData):
    """Data of an http-request node. ``headers``, ``params``: lines ``key:value``."""

    method: Literal[
        "get", "post", "put", "patch", "delete", "head", "options",
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS",
    ]  # fmt: skip
    url: str
    authorization: Authorization = Field(default_factory=Authorization)
    headers: str = ""
    params: str = ""
    body: Body = Field(default_factory=Body)
    timeout: Timeout = Field(default_factory=Timeout)
    ssl_verify: bool = True

    @field_validator("authorization", "headers", "params", "body", "timeout", "ssl_verify", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value


@dataclass(slots=True)
class RenderedRequest:
    """A request with its texts rendered. ``authorization``: the header of the key, if any; ``items``: key, text."""

    method: str
    url: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    body: Body
    items: list[tuple[str, str]]
    authorization: dict[str, str] = field(default_factory=dict, repr=False)


class RequestText:
    """The texts of a node, compiled."""

    def __init__(self, data: HttpRequestData) -> None:
        self._data = data
        self._url = Template(data.url)
        self._params = [
            (Template(key.strip()), Template(value.strip()))
            for key, _, value in (line.partition(":") for line in data.params.splitlines())
            if key.strip()
        ]
        self._headers = Template(data.headers)
        self._items = [(Template(item.key), Template(item.value)) for item in data.body.data]
        config = data.authorization.config
        self._key = Template((config.api_key or "") if config else "")

    def render(self, read: Callable[[Template], str]) -> RenderedRequest:
        """Return the request with each text as ``read`` gives it.

        Raises:
            NodeError: there is no key where there must be one, or no usable address.
        """
        authorization = self._authorization(read)
        url = read(self._url)
        if not url:
            raise NodeError("url is required", "InvalidURLError")
        if not url.startswith(("http://", "https://")):
            raise NodeError("url should start with http:// or https://", "InvalidURLError")
        return RenderedRequest(
            method=self._data.method.upper(),
            url=url,
            params=[(read(key), read(value)) for key, value in self._params],
            headers=_headers(read(self._headers)),
            body=self._data.body,
            items=[(read(key), read(value)) for key, value in self._items],
            authorization=authorization,
        )

    def _authorization(self, read: Callable[[Template], str]) -> dict[str, str]:
        config = self._data.authorization.config
        if config is None:
            return {}
        key = read(self._key)
        if not key:
            raise NodeError("an API key is required for authorization but was empty", "AuthorizationConfigError")
        name = config.header or "Authorization"
        if config.type == "bearer":
            return {name: f"Bearer {key}"}
        if config.type == "basic":
            return {name: f"Basic {base64.b64encode(key.encode()).decode() if ':' in key else key}"}
        return {name: key} if config.type == "custom" else {}


def _headers(text: str) -> dict[str, str]:
    lines = (line.partition(":") for line in text.splitlines() if line.strip())
    return {key.strip(): value.strip() for key, _, value in lines}


@dataclass(frozen=True, slots=True)
class BodyToSend:
    """A body as the HTTP port takes it. ``content_type``: what stands in the header unless the user set one."""

    content: bytes | tuple[tuple[str, Any], ...] | None
    content_type: str = ""
    is_multipart: bool = False

    def headers(self, request: RenderedRequest) -> dict[str, str]:
        """Return the request's headers with this body's content type, which only multipart imposes."""
        named = {name.lower() for name in request.headers}
        if self.is_multipart:
            return {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
        if self.content_type and "content-type" not in named:
            return {**request.headers, "Content-Type": self.content_type}
        return request.headers


async def body_of(request: RenderedRequest, pool: VariablePool, files: Files) -> BodyToSend:
    """Return the body that ``request`` sends.

    Raises:
        NodeError: it cannot be made: not one item, no JSON, no file, or a file that cannot be read.
    """
    body = request.body
    content_type = _CONTENT_TYPES.get(body.type, "")
    if body.type == "none":
        return BodyToSend(None)
    if body.type == "x-www-form-urlencoded":
        return BodyToSend(urlencode(dict(request.items)).encode(), content_type)
    if body.type == "form-data":
        return BodyToSend(_form_parts(request, pool), is_multipart=True)
    if len(request.items) != 1:
        raise NodeError(f"{body.type} body type should have exactly one item", "RequestBodyError")
    if body.type == "binary":
        selector = body.data[0].file
        file = pool.get(selector)
        if not is_file(file):
            raise NodeError(f"cannot fetch file with selector {selector}", "FileFetchError")
        return BodyToSend(await files.read(file))
    text = request.items[0][1]
    if body.type == "json":
        return BodyToSend(await _json_body(text), content_type)
    return BodyToSend(_encoded(text), content_type)


def _form_parts(request: RenderedRequest, pool: VariablePool) -> tuple[tuple[str, Any], ...]:
    """Return texts, of equal names the last one, then files; a list of files is one part each."""
    pairs = list(zip(request.items, request.body.data, strict=True))
    texts = {key: value for (key, value), item in pairs if item.type == "text"}
    selectors = {key: item.file for (key, _), item in pairs if item.type == "file"}
    named = [(key, file) for key, selector in selectors.items() for file in files_in([pool.get(selector)])]
    return (*texts.items(), *named)


async def _json_body(text: str) -> bytes:
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        value = await _repaired(text)
    try:
        return _encoded(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    except (ValueError, RecursionError) as error:
        raise NodeError(f"the JSON body cannot be written: {error}", "RequestBodyError") from error


async def _repaired(text: str) -> Any:
    try:
        return await asyncio.to_thread(repaired_json, text)
    except ValueError as error:
        raise NodeError(f"Failed to parse JSON, also not when repaired: {error}", "RequestBodyError") from error


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def text_of_request(shown: RenderedRequest, pool: VariablePool) -> str:
    """Return how a request reads in the record of its node: the key masked, files by name.

    Args:
        shown: rendered with secrets masked.
        pool: where its files are.
    """
    parts = urlsplit(shown.url)
    query = urlencode(shown.params) if shown.params else parts.query
    lines = [f"{shown.method} {parts.path or '/'}{'?' if query else ''}{query} HTTP/1.1", f"Host: {parts.netloc}"]
    headers: Mapping[str, str] = {**shown.headers, **dict.fromkeys(shown.authorization, MASK)}
    content_type = "multipart/form-data" if shown.body.type == "form-data" else _CONTENT_TYPES.get(shown.body.type)
    if content_type and "content-type" not in {name.lower() for name in headers}:
        headers = {**headers, "Content-Type": content_type}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", _shown_body(shown, pool)[:_MAX_SHOWN_CHARS]])


def _shown_body(shown: RenderedRequest, pool: VariablePool) -> str:
    kind = shown.body.type
    if kind in ("raw-text", "json"):
        return shown.items[0][1] if shown.items else ""
    if kind == "x-www-form-urlencoded":
        return urlencode(dict(shown.items))
    if kind == "form-data":
        parts = _form_parts(shown, pool)
        return "\r\n".join(f"{name}: {_file_name(value) if is_file(value) else value}" for name, value in parts)
    if kind == "binary" and shown.body.data:
        return _file_name(pool.get(shown.body.data[0].file))
    return ""


def _file_name(file: Any) -> str:
    return f"<file {file.get('filename') or ''}>" if is_file(file) else ""
