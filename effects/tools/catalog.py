"""Which tool a provider and tool name of a workflow file mean: configuration, never code.

The tools file (YAML or JSON) has two parts, both optional::

    sources:
      search: {kind: openapi, file: search.yml, auth: {in: header, name: X-Key, env: SEARCH_KEY}}
      notes: {kind: mcp, url: "https://notes.example.com/mcp", headers: {X-Key: {env: NOTES_KEY, prefix: "Bearer "}}}
      summary: {kind: workflow, app: Summarise}
    tools:
      - {provider: tavily, tool: tavily_search, source: search, name: searchWeb, rename: {query: q}, set: {count: 5}}
      - {provider: notes, tool: "*", source: notes}

The most specific entry wins: provider and tool, then provider. A provider that bears the name of a source needs no
entry. Without either, the built-in tools of that provider are meant. No secret stands in the file: ``env`` names the
environment variable that holds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from effects.tools.errors import InvalidToolsFileError, ToolNotConfiguredError
from graph.read_document import UnreadableError
from graph.settings_document import read_settings_mapping, settings_fault

ANY = "*"
"""Stands for every tool of a provider."""
BUILT_IN = "built-in"
"""The source that exists without being listed."""
ANY_PROVIDER = "builtin"
"""The provider under whose name every built-in tool is found, as in files of the first versions."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
_EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SecretRef(_Entry):
    """A secret by the environment variable that holds it; ``prefix`` goes before it, such as ``Bearer ``."""

    env: _EnvName
    prefix: str = ""


class ApiKey(SecretRef):
    """A key that every call of an API carries, in a header or in the query."""

    place: Literal["header", "query"] = Field("header", alias="in")
    name: str = "Authorization"


class OpenApiSource(_Entry):
    """The operations of an HTTP API. ``file``: its OpenAPI description, relative to the tools file.

    ``base_url`` replaces the servers of the description. ``timeout_s``: longest silence.
    """

    kind: Literal["openapi"]
    file: Path
    base_url: str | None = None
    auth: ApiKey | None = None
    timeout_s: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return None if url is None else _checked_url(url)


class McpSource(_Entry):
    """The tools of an MCP server: at ``url`` (streamable HTTP), or ``command`` with its arguments (stdio).

    ``env``: variables of the command -> environment variables of this process that hold their values.
    """

    kind: Literal["mcp"]
    url: str | None = None
    headers: dict[str, SecretRef] = Field(default_factory=dict)
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    env: dict[str, _EnvName] = Field(default_factory=dict)
    timeout_s: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return None if url is None else _checked_url(url)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("has to name either a url or a command")
        return self


class WorkflowSource(_Entry):
    """Another app of this installation. ``app``: its id or its name."""

    kind: Literal["workflow"]
    app: Annotated[str, Field(min_length=1)]


Source = Annotated[OpenApiSource | McpSource | WorkflowSource, Field(discriminator="kind")]


class ToolEntry(_Entry):
    """What one tool of a file means.

    ``name``: its name at the source, None for the same. ``rename``: parameter of the file -> of the source; ``set``:
    parameter of the source -> fixed value; ``drop``: parameters of the file that the source does not know.
    """

    provider: str
    tool: str = ANY
    source: str
    name: str | None = None
    rename: dict[str, str] = Field(default_factory=dict)
    fixed: dict[str, Any] = Field(default_factory=dict, alias="set")
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolMeaning:
    """A tool at its source; ``source`` is a name under sources, or ``built-in``."""

    source: str
    provider: str
    name: str
    rename: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a file's node as the source calls them."""
        kept = {self.rename.get(name, name): value for name, value in given.items() if name not in self.drop}
        return {**kept, **self.fixed}


class ToolCatalog(BaseModel):
    """The tools file, checked. Holds no secret, so it may be shown and sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[_Name, Source] = Field(default_factory=dict)
    tools: tuple[ToolEntry, ...] = ()
    _meanings: dict[tuple[str, str], ToolEntry] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if BUILT_IN in self.sources:
            raise ValueError(f'"{BUILT_IN}" is no name for a source: it is there already')
        for entry in self.tools:
            key = (short_provider(entry.provider), entry.tool)
            if entry.source != BUILT_IN and entry.source not in self.sources:
                raise ValueError(
                    f'{entry.provider} {entry.tool} names the source "{entry.source}", which is not under sources'
                )
            if key in self._meanings:
                raise ValueError(f"{entry.provider} {entry.tool} is listed twice")
            self._meanings[key] = entry
        return self

    @classmethod
    def parse(cls, document: Mapping[str, Any], source: str = "the settings", folder: Path | None = None) -> Self:
        """Return the catalog that ``document``, shaped like the tools file, describes.

        Args:
            document: the parsed file.
            source: what the error calls it.
            folder: what relative paths in it start from.

        Raises:
            InvalidToolsFileError: lists every fault with its place; never shows a value.
        """
        try:
            catalog = cls.model_validate(dict(document))
        except ValidationError as error:
            raise InvalidToolsFileError(source, tuple(settings_fault(detail) for detail in error.errors())) from None
        return catalog if folder is None else catalog._placed_in(folder)

    def _placed_in(self, folder: Path) -> Self:
        placed = {
            name: source.model_copy(update={"file": folder / source.file})
            for name, source in self.sources.items()
            if isinstance(source, OpenApiSource)
        }
        self.sources.update(placed)
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the catalog of the tools file at ``path``.

        Raises:
            InvalidToolsFileError: the file cannot be read, is no YAML or JSON mapping, or has faults.
        """
        try:
            document = read_settings_mapping(path.read_bytes())
        except OSError as error:
            raise InvalidToolsFileError(str(path), (error.strerror or "cannot be read",)) from None
        except UnreadableError as error:
            raise InvalidToolsFileError(str(path), (str(error),)) from None
        return cls.parse(document, str(path), path.parent)

    def resolve(self, providers: tuple[str, ...], tool: str) -> ToolMeaning:
        """Return what a tool of a workflow file means.

        Args:
            providers: the names that the file gives its provider, id first; a short and its long form are one:
                ``tavily`` and ``langgenius/tavily/tavily``.
            tool: its name in the file.

        Raises:
            ToolNotConfiguredError: no name was given.
        """
        names = tuple(dict.fromkeys(short_provider(provider) for provider in providers if provider))
        if not names:
            raise ToolNotConfiguredError("", tool)
        for wanted in (tool, ANY):
            for name in names:
                entry = self._meanings.get((name, wanted))
                if entry is not None:
                    provider = ANY_PROVIDER if entry.source == BUILT_IN else name
                    called = entry.name or tool
                    return ToolMeaning(entry.source, provider, called, entry.rename, entry.fixed, entry.drop)
        for name in names:
            if name in self.sources:
                return ToolMeaning(name, name, tool)
        return ToolMeaning(BUILT_IN, names[0], tool)


def short_provider(provider: str) -> str:
    """Return a provider's short form: plugins name themselves ``author/plugin/provider``."""
    parts = provider.split("/")
    return parts[2] if len(parts) == 3 and parts[1] == parts[2] else provider


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("carries a user name or password: name an environment variable instead")
    return url
