"""Reads an OpenAPI 3 description: its operations with their parameters, references resolved.

Only references inside of the file are followed; nothing is fetched.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from graph.read_document import UnreadableError
from graph.settings_document import read_settings_document

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_BODY_KINDS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
_MAX_REFERENCES = 32

Place = Literal["path", "query", "header", "cookie"]


class InvalidDescriptionError(ValueError):
    """A file is no OpenAPI description that we can use; the operator mends it."""


@dataclass(frozen=True, slots=True)
class ApiParameter:
    """A parameter of an operation. ``schema``: its JSON schema, references resolved."""

    name: str
    place: Place
    is_required: bool
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``body``: the schema of its body, None without one; ``body_kind``: its media type."""

    name: str
    method: str
    path: str
    server: str
    parameters: tuple[ApiParameter, ...] = ()
    body: Mapping[str, Any] | None = None
    body_kind: str = "application/json"
    is_body_required: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Body field -> its schema, where the body is an object."""
    required_fields: frozenset[str] = frozenset()


@lru_cache(maxsize=32)
def load_operations(path: Path, base_url: str | None) -> dict[str, Operation]:
    """Return name -> operation of the description at ``path``.

    An operation is called by its ``operationId``, and by ``<method> <path>``. A file is read once in a process.

    Raises:
        InvalidDescriptionError: the file cannot be read or used; the text says where.
    """
    try:
        document = read_settings_document(path.read_bytes())
    except OSError as error:
        raise InvalidDescriptionError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except UnreadableError as error:
        raise InvalidDescriptionError(f"{path} {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise InvalidDescriptionError(f"{path} is no OpenAPI description: it has no paths")
    if not str(document.get("openapi", "")).startswith("3."):
        raise InvalidDescriptionError(f"{path} is no OpenAPI 3 description")
    operations: dict[str, Operation] = {}
    for operation in _Description(document, base_url).operations():
        operations[operation.name] = operation
        operations.setdefault(f"{operation.method.lower()} {operation.path}", operation)
    return operations


class _Description:
    def __init__(self, document: Mapping[str, Any], base_url: str | None) -> None:
        self._document = document
        self._base_url = base_url

    def operations(self) -> Iterator[Operation]:
        for path, item in self._document["paths"].items():
            item = self._resolved(item)
            for method in _METHODS:
                if isinstance(item.get(method), dict):
                    yield self._operation(str(path), method, item, item[method])

    def _operation(self, path: str, method: str, item: Mapping[str, Any], data: Mapping[str, Any]) -> Operation:
        parameters: dict[tuple[str, str], ApiParameter] = {}
        for entry in [*(item.get("parameters") or ()), *(data.get("parameters") or ())]:
            parameter = self._parameter(self._resolved(entry))
            parameters[parameter.name, parameter.place] = parameter
        body = self._resolved(data.get("requestBody") or {})
        kind, schema = self._body(body.get("content") or {})
        properties = schema.get("properties") if schema is not None else None
        fields = {name: self._resolved(each) for name, each in (properties or {}).items()}
        return Operation(
            name=str(data.get("operationId") or f"{method} {path}"),
            method=method.upper(),
            path=path,
            server=self._server(item, data),
            parameters=tuple(parameters.values()),
            body=schema,
            body_kind=kind,
            is_body_required=bool(body.get("required")),
            fields=fields,
            required_fields=frozenset((schema or {}).get("required") or ()),
        )

    def _parameter(self, entry: Mapping[str, Any]) -> ApiParameter:
        place = entry.get("in")
        if place not in ("path", "query", "header", "cookie") or not entry.get("name"):
            raise InvalidDescriptionError(f"a parameter has no name or no place: {dict(entry)}")
        schema = self._resolved(entry.get("schema") or {})
        is_required = bool(entry.get("required")) or place == "path"
        return ApiParameter(str(entry["name"]), cast(Place, place), is_required, schema)

    def _body(self, content: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
        for kind in (*_BODY_KINDS, *content):
            for given, media in content.items():
                if str(given).partition(";")[0].strip().lower() == kind or given == kind:
                    return str(kind), self._flat(self._resolved(media.get("schema") or {}))
        return _BODY_KINDS[0], None

    def _flat(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an object schema with the parts of its ``allOf`` joined."""
        parts = [self._flat(self._resolved(part)) for part in schema.get("allOf") or ()]
        if not parts:
            return schema
        joined: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
        for part in (*parts, {key: value for key, value in schema.items() if key != "allOf"}):
            joined["properties"] |= part.get("properties") or {}
            joined["required"] += part.get("required") or []
        return joined

    def _server(self, item: Mapping[str, Any], data: Mapping[str, Any]) -> str:
        if self._base_url is not None:
            return self._base_url
        servers = data.get("servers") or item.get("servers") or self._document.get("servers") or [{}]
        url = str(servers[0].get("url") or "")
        for name, variable in (servers[0].get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
        return url

    def _resolved(self, node: Any) -> Mapping[str, Any]:
        for _ in range(_MAX_REFERENCES):
            reference = node.get("$ref") if isinstance(node, dict) else None
            if reference is None:
                return node if isinstance(node, dict) else {}
            node = self._at(str(reference))
        raise InvalidDescriptionError("a reference leads in a circle")

    def _at(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise InvalidDescriptionError(f"the reference {json.dumps(reference)} leads out of the file")
        node: Any = self._document
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                raise InvalidDescriptionError(f"the reference {json.dumps(reference)} leads nowhere")
            node = node[key]
        return node
