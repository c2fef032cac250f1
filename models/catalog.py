"""Which model a provider and a model name of a workflow file mean: configuration, never code.

The models file (YAML or JSON) has three parts, all optional::

    default: local                 # target of every model that is not listed; without it such a model fails its node
    targets:
      local: {kind: local, slots: 4}
      gpt: {kind: openai, base_url: "https://api.example.com/v1", api_key_env: EXAMPLE_API_KEY}
    models:
      - {provider: langgenius/openai/openai, name: gpt-4o, target: gpt}
      - {provider: langgenius/ollama/ollama, name: "*", target: local}

The targets ``local`` and ``scripted`` exist without being listed, and so does the model ``smollm2-135m-instruct`` of
provider ``greenroom``. The most specific entry wins: provider and name, then provider, then name, then the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from graph.read_document import UnreadableError
from graph.settings_document import read_settings_mapping, settings_fault
from models.errors import InvalidCatalogError, ModelNotConfiguredError
from models.scripted_model import ECHO_SCRIPT, Script
from models.structured_output import SchemaSupport

ANY = "*"
"""Stands for every provider or every name."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class LocalTarget(_Entry):
    """A GGUF file on our own chat deployment.

    ``model_path``: None means SmolLM2-135M-Instruct from its package, checksum pinned. ``slots``: generations at
    the same time in a replica; ``context_tokens``: prompt and answer of one slot. ``max_tokens``: length of an answer
    whose node names none. ``threads``: per replica; more than the free cores makes it many times slower.
    ``parameters``: defaults under those of the node.
    """

    kind: Literal["local"] = "local"
    model_path: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    threads: Annotated[int, Field(ge=1)] = 1
    slots: Annotated[int, Field(ge=1, le=64)] = 4
    context_tokens: Annotated[int, Field(ge=128)] = 2048
    max_tokens: Annotated[int, Field(ge=1)] = 512
    min_replicas: Annotated[int, Field(ge=0)] = 1
    max_replicas: Annotated[int, Field(ge=1)] = 1
    num_cpus: Annotated[float, Field(ge=0)] = 0.0
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is greater than max_replicas")
        return self


class ScriptedTarget(_Entry):
    """Exact answers from a script; without one, an echo of the last user message."""

    kind: Literal["scripted"] = "scripted"
    script: Script = ECHO_SCRIPT
    num_cpus: Annotated[float, Field(ge=0)] = 0.0


class OpenAITarget(_Entry):
    """An OpenAI-compatible upstream.

    The key itself never stands here: ``api_key_env`` names an environment variable, ``api_key_secret`` an entry of
    the secrets file. ``model``: the upstream's name for it; None passes the name of the workflow file on.
    ``timeout_s``: longest silence of the upstream. ``parameters``: defaults under those of the node.
    ``structured_output``: what the upstream does with a JSON schema; ``instruct`` where it refuses response formats.
    """

    kind: Literal["openai"]
    base_url: str
    api_key_env: str | None = None
    api_key_secret: str | None = None
    model: str | None = None
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    parameters: dict[str, Any] = Field(default_factory=dict)
    structured_output: SchemaSupport = "json_schema"

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is not an http(s) URL")
        if parts.username is not None or parts.password is not None:
            raise ValueError("carries a user name or password: use api_key_env or api_key_secret")
        return url

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key_env and self.api_key_secret:
            raise ValueError("has both api_key_env and api_key_secret: name one")
        return self


Target = Annotated[LocalTarget | ScriptedTarget | OpenAITarget, Field(discriminator="kind")]


class ModelEntry(_Entry):
    """What one provider and model name mean; ``*`` stands for all."""

    provider: str = ANY
    name: str = ANY
    target: str


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """A target with its name in the catalog."""

    name: str
    target: LocalTarget | ScriptedTarget | OpenAITarget


_BUILT_IN_TARGETS: dict[str, Any] = {"local": {"kind": "local"}, "scripted": {"kind": "scripted"}}
_BUILT_IN_MODELS = (ModelEntry(provider="greenroom", name="smollm2-135m-instruct", target="local"),)


class Catalog(BaseModel):
    """The models file, checked. Holds no key, so it may be shown and sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: str | None = None
    targets: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")], Target] = Field(
        default_factory=dict, validate_default=True
    )
    models: tuple[ModelEntry, ...] = ()
    _meanings: dict[tuple[str, str], str] = PrivateAttr(default_factory=dict)

    @field_validator("targets", mode="before")
    @classmethod
    def _with_built_in(cls, targets: Any) -> Any:
        if not isinstance(targets, Mapping):
            return targets
        given = {
            name: {**_BUILT_IN_TARGETS.get(name, {}), **target} if isinstance(target, Mapping) else target
            for name, target in targets.items()
        }
        return {**_BUILT_IN_TARGETS, **given}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.default is not None and self.default not in self.targets:
            raise ValueError(f'default names the target "{self.default}", which is not under targets')
        for entry in self.models:
            key = (_short_provider(entry.provider), entry.name)
            if entry.target not in self.targets:
                raise ValueError(f'{entry.provider} {entry.name} names the target "{entry.target}", not under targets')
            if key in self._meanings:
                raise ValueError(f"{entry.provider} {entry.name} is listed twice")
            self._meanings[key] = entry.target
        for entry in _BUILT_IN_MODELS:
            self._meanings.setdefault((entry.provider, entry.name), entry.target)
        return self

    @classmethod
    def parse(cls, document: Mapping[str, Any], source: str = "the settings") -> Self:
        """Return the catalog that ``document``, shaped like the models file, describes.

        Raises:
            InvalidCatalogError: lists every fault with its place; never shows a value.
        """
        try:
            return cls.model_validate(dict(document))
        except ValidationError as error:
            raise InvalidCatalogError(source, tuple(settings_fault(detail) for detail in error.errors())) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the catalog of the models file at ``path``; ``~`` and relative paths in it are left as they are.

        Raises:
            InvalidCatalogError: the file cannot be read, is no YAML or JSON mapping, or has faults.
        """
        try:
            document = read_settings_mapping(path.read_bytes())
        except OSError as error:
            raise InvalidCatalogError(str(path), (error.strerror or "cannot be read",)) from None
        except UnreadableError as error:
            raise InvalidCatalogError(str(path), (str(error),)) from None
        return cls.parse(document, str(path))

    def resolve(self, provider: str, name: str) -> NamedTarget:
        """Return what a provider and model name of a workflow file mean.

        A provider's short and long form are one: ``openai`` and ``langgenius/openai/openai``.

        Raises:
            ModelNotConfiguredError: nothing in the catalog fits; the text says what to add.
        """
        short = _short_provider(provider)
        for key in ((short, name), (short, ANY), (ANY, name), (ANY, ANY)):
            target = self._meanings.get(key)
            if target is not None:
                return NamedTarget(target, self.targets[target])
        if self.default is not None:
            return NamedTarget(self.default, self.targets[self.default])
        raise ModelNotConfiguredError(provider, name)

    def used_targets(self) -> tuple[NamedTarget, ...]:
        """Return the targets that some model means, in the order of the file: what has to be deployed."""
        used = {self.default, *self._meanings.values()}
        return tuple(NamedTarget(name, target) for name, target in self.targets.items() if name in used)


def _short_provider(provider: str) -> str:
    parts = provider.split("/")
    return parts[2] if len(parts) == 3 and parts[0] == "langgenius" and parts[1] == parts[2] else provider
