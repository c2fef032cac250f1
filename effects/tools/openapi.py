"""The operations of an HTTP API as tools, by its OpenAPI description, called through the guarded HTTP port.

A tool's name is the operation's id; its parameters are those of the operation and the fields of its body, in one
namespace. A body that is no object is the parameter ``body``.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from effects.tools.catalog import OpenApiSource
from effects.tools.errors import ToolFailedError, ToolNotConfiguredError, ToolParameterError, ToolSourceError
from effects.tools.openapi_file import ApiParameter, InvalidDescriptionError, Operation, load_operations
from effects.tools.parameters import typed
from effects.tools.source import Environment, Request, secret_of
from graph.errors import NodeError
from graph.ports import Http, HttpCall, HttpReply, ToolMessage
from graph.variable_pool import is_file

_BODY = "body"
_REASON_CHARS = 500
_ERROR_STATUS = 400


class OpenApiTools:
    """Implements effects.tools.source.ToolSource over one API. The description is read at the first call."""

    def __init__(self, name: str, source: OpenApiSource, http: Http, environment: Environment) -> None:
        self._name = name
        self._source = source
        self._http = http
        self._environment = environment
        self._operations: dict[str, Operation] | None = None

    async def call(self, request: Request) -> AsyncIterator[ToolMessage]:
        """Yield the answer: its text, and its JSON objects or its file.

        Raises:
            ToolSourceError: the description or the key is missing or wrong.
            ToolNotConfiguredError: the API has no such operation.
            ToolParameterError: a parameter is missing or does not fit.
            ToolFailedError: the API answered with an error.
            NodeError: the address is not allowed or not reachable.
        """
        operation = (await self._known()).get(request.tool)
        if operation is None:
            raise ToolNotConfiguredError(request.provider, request.tool)
        secret = secret_of(self._name, self._source.auth, self._environment) if self._source.auth else None
        call = self._http_call(operation, request, secret)
        try:
            reply = await self._http.send(call)
        except NodeError as error:
            raise NodeError(self._without_key(str(error), secret), error.error_type) from None
        if reply.status_code >= _ERROR_STATUS:
            reason = self._without_key(reply.text.strip(), secret)[:_REASON_CHARS]
            raise ToolFailedError(request.tool, f"HTTP status {reply.status_code}: {reason}")
        for message in _messages(reply):
            yield message

    def _without_key(self, text: str, secret: str | None) -> str:
        auth = self._source.auth
        return text.replace(secret.removeprefix(auth.prefix), "[secret]") if secret and auth else text

    async def _known(self) -> dict[str, Operation]:
        if self._operations is None:
            try:
                self._operations = await asyncio.to_thread(load_operations, self._source.file, self._source.base_url)
            except InvalidDescriptionError as error:
                raise ToolSourceError(self._name, str(error)) from None
        return self._operations

    def _http_call(self, operation: Operation, request: Request, secret: str | None) -> HttpCall:
        if urlsplit(operation.server).scheme not in ("http", "https"):
            raise ToolSourceError(self._name, "its description names no server: set base_url")
        values = _Values(operation, request)
        query, headers = values.pairs("query"), values.pairs("header")
        cookies = values.pairs("cookie")
        if cookies:
            headers.append(("Cookie", "; ".join(f"{name}={quote(value)}" for name, value in cookies)))
        auth = self._source.auth
        if auth is not None and secret is not None:
            (headers if auth.place == "header" else query).append((auth.name, secret))
        body, kind = values.body()
        if kind:
            headers.append(("Content-Type", kind))
        return HttpCall(
            method=operation.method,
            url=f"{operation.server.rstrip('/')}{values.path()}",
            params=tuple(query),
            headers=tuple(headers),
            body=body,
            is_multipart=isinstance(body, tuple),
            read_timeout_s=self._source.timeout_s,
            idempotency_key=request.idempotency_key,
        )


class _Values:
    """The parameters of one call, put where the operation wants them."""

    def __init__(self, operation: Operation, request: Request) -> None:
        self._operation = operation
        self._tool = request.tool
        self._given = {name: value for name, value in request.parameters.items() if value is not None}

    def path(self) -> str:
        """Return the path with its parameters filled in; none of them can leave its place."""
        path = self._operation.path
        for parameter in self._of("path"):
            value = self._plain(parameter.name, self._value(parameter.name, parameter.schema))
            if value in (".", "..", ""):
                raise ToolParameterError(self._tool, f'the parameter "{parameter.name}" cannot be {value!r} in a path')
            path = path.replace(f"{{{parameter.name}}}", quote(value, safe=""))
        return path

    def pairs(self, place: str) -> list[tuple[str, str]]:
        """Return the parameters of ``place`` that were given, lists as repeated names."""
        pairs: list[tuple[str, str]] = []
        for parameter in self._of(place):
            if not self._has(parameter):
                continue
            value = self._value(parameter.name, parameter.schema)
            items = value if isinstance(value, list) else [value]
            pairs.extend((parameter.name, self._plain(parameter.name, item)) for item in items)
        return pairs

    def body(self) -> tuple[Any, str]:
        """Return the body and the content type to name with it ("" for none, or one that the client makes)."""
        operation = self._operation
        if operation.body is None:
            return None, ""
        fields = self._fields()
        if operation.body_kind == "multipart/form-data":
            return tuple((n, v if is_file(v) else self._plain(n, v)) for n, v in fields.items()), ""
        if operation.body_kind == "application/x-www-form-urlencoded":
            return urlencode({n: self._plain(n, v) for n, v in fields.items()}).encode(), operation.body_kind
        whole = self._whole() if not operation.fields else fields
        if whole is None and not operation.is_body_required:
            return None, ""
        if operation.body_kind.endswith("json"):
            return json.dumps(whole, ensure_ascii=False).encode(), operation.body_kind
        return (whole if isinstance(whole, str) else json.dumps(whole)).encode(), operation.body_kind

    def _fields(self) -> dict[str, Any]:
        """Return the fields of the body: those given by name, and those in a parameter ``body``."""
        operation = self._operation
        whole = self._whole() if _BODY not in operation.fields else None
        fields: dict[str, Any] = dict(whole) if isinstance(whole, Mapping) else {}
        taken = {parameter.name for parameter in operation.parameters}
        for name, schema in operation.fields.items():
            if name in self._given and name not in taken:
                fields[name] = self._value(name, schema)
        missing = sorted(operation.required_fields - set(fields))
        if missing:
            raise ToolParameterError(self._tool, f'the parameter "{missing[0]}" is missing')
        return fields

    def _whole(self) -> Any:
        value = self._given.get(_BODY)
        if isinstance(value, str) and self._operation.body_kind.endswith("json"):
            return typed(value, {"type": "object"} if self._operation.fields else self._operation.body or {})
        return value

    def _of(self, place: str) -> list[ApiParameter]:
        return [parameter for parameter in self._operation.parameters if parameter.place == place]

    def _has(self, parameter: ApiParameter) -> bool:
        given = self._given.get(parameter.name)
        if given is None or (given == "" and not parameter.is_required):
            if parameter.is_required:
                raise ToolParameterError(self._tool, f'the parameter "{parameter.name}" is missing')
            return False
        return True

    def _value(self, name: str, schema: Mapping[str, Any]) -> Any:
        if name not in self._given:
            raise ToolParameterError(self._tool, f'the parameter "{name}" is missing')
        try:
            return typed(self._given[name], schema)
        except ValueError as error:
            raise ToolParameterError(self._tool, f'the parameter "{name}" {error}') from None

    def _plain(self, name: str, value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dict | list):
            return json.dumps(value, ensure_ascii=False)
        text = str(value)
        if "\r" in text or "\n" in text:
            places = [parameter.place for parameter in self._operation.parameters if parameter.name == name]
            if "header" in places:
                raise ToolParameterError(self._tool, f'the parameter "{name}" cannot have line breaks')
        return text


def _messages(reply: HttpReply) -> list[ToolMessage]:
    if reply.file is not None:
        return [ToolMessage("file", reply.file)]
    try:
        document = json.loads(reply.text)
    except (ValueError, RecursionError):
        return [ToolMessage("text", reply.text)]
    objects = [document] if isinstance(document, dict) else document if isinstance(document, list) else []
    found = [ToolMessage("json", each if isinstance(each, dict) else {"result": each}) for each in objects]
    return [ToolMessage("text", reply.text), *found]
