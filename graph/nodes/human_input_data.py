"""The data of a human-input node: fields, actions, delivery methods, deadline.

Unlike other kinds it must be valid for a file to be imported at all.
Source: dify 1.14.2 core/workflow/nodes/human_input/entities.py (spec/hitl.md 2.1-2.5).
"""

import re
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from graph.human_rules import FormRules
from graph.nodes.kind import NodeData

_ACTION_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DELIVERY_NAMESPACE = uuid.UUID("6f1c3f0a-5c2b-5d0e-9a35-7b3f7d1f2b11")
_SECONDS = {"hour": 3600, "day": 86400}

FileType = Literal["image", "document", "audio", "video", "custom"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextSource(_Part):
    """Where a paragraph's default comes from; the fields of both types are kept when the type is switched."""

    type: Literal["constant", "variable"]
    selector: list[str] = Field(default_factory=list)
    value: str = ""

    @model_validator(mode="after")
    def _names_a_value(self) -> "TextSource":
        if self.type == "variable" and len(self.selector) < 2:
            raise ValueError("a default of type variable needs a selector of at least two parts")
        return self


class OptionSource(_Part):
    """Where the options of a select come from."""

    type: Literal["constant", "variable"]
    selector: list[str] = Field(default_factory=list)
    value: list[str] = Field(default_factory=list)


class ParagraphInput(_Part):
    """A text field."""

    type: Literal["paragraph"]
    output_variable_name: str = Field(min_length=1)
    default: TextSource | None = None


class SelectInput(_Part):
    """A choice of one option."""

    type: Literal["select"]
    output_variable_name: str = Field(min_length=1)
    option_source: OptionSource


class FileInput(_Part):
    """One file."""

    type: Literal["file"]
    output_variable_name: str = Field(min_length=1)
    allowed_file_types: list[FileType] = Field(default_factory=list)
    allowed_file_extensions: list[str] = Field(default_factory=list)
    allowed_file_upload_methods: list[Literal["local_file", "remote_url"]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _custom_names_extensions(self) -> "FileInput":
        if "custom" in self.allowed_file_types and not self.allowed_file_extensions:
            raise ValueError("allowed_file_types with custom needs allowed_file_extensions")
        return self


class FileListInput(FileInput):
    """Several files; ``number_limits`` 0 is no limit."""

    type: Literal["file-list"]  # type: ignore[assignment]
    number_limits: int = Field(default=0, ge=0)


FormInput = Annotated[ParagraphInput | SelectInput | FileInput | FileListInput, Field(discriminator="type")]


class UserAction(_Part):
    """One button; its id is the exit that the run takes."""

    id: str = Field(max_length=20)
    title: str = Field(max_length=100)
    button_style: Literal["primary", "default", "accent", "ghost"] = "default"

    @field_validator("id")
    @classmethod
    def _is_identifier(cls, value: str) -> str:
        if not _ACTION_ID.fullmatch(value):
            raise ValueError("an action id starts with a letter or underscore; letters, digits and underscores follow")
        return value


class MemberRecipient(_Strict):
    """A member of the workspace."""

    type: Literal["member"]
    user_id: str = Field(validation_alias=AliasChoices("reference_id", "user_id"))


class ExternalRecipient(_Strict):
    """Anybody with a mail address."""

    type: Literal["external"]
    email: str


class EmailRecipients(_Strict):
    """Who gets the mail."""

    whole_workspace: bool = Field(
        default=False, validation_alias=AliasChoices("include_bound_group", "whole_workspace")
    )
    items: list[Annotated[MemberRecipient | ExternalRecipient, Field(discriminator="type")]] = Field(
        default_factory=list
    )


class EmailConfig(_Part):
    """The mail. ``body`` may hold ``{{#url#}}`` and variable references."""

    recipients: EmailRecipients
    subject: str
    body: str
    debug_mode: bool = False


class WebAppDelivery(_Part):
    """The form shows in the web app."""

    id: str = ""
    type: Literal["webapp"]
    enabled: bool = True
    config: dict[str, Any] = Field(default_factory=dict)


class EmailDelivery(_Part):
    """The form's link goes out by mail."""

    id: str = ""
    type: Literal["email"]
    enabled: bool = True
    config: EmailConfig


DeliveryMethod = Annotated[WebAppDelivery | EmailDelivery, Field(discriminator="type")]


class HumanInputData(NodeData):
    """Data of a human-input node. ``greenroom``: what Greenroom adds to the language, checked at import."""

    delivery_methods: list[DeliveryMethod] = Field(default_factory=list)
    form_content: str = ""
    inputs: list[FormInput] = Field(default_factory=list)
    user_actions: list[UserAction] = Field(default_factory=list)
    timeout: int = 36
    timeout_unit: Literal["hour", "day"] = "hour"
    greenroom: FormRules = Field(default_factory=FormRules)

    @field_validator("inputs", mode="before")
    @classmethod
    def _rename_text_input(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [
            {**item, "type": "paragraph"}
            if isinstance(item, dict) and item.get("type") in ("text_input", "text-input")  # files before 1.15
            else item
            for item in value
        ]

    @model_validator(mode="after")
    def _names_are_unique(self) -> "HumanInputData":
        _refuse_doubles("inputs", (field.output_variable_name for field in self.inputs))
        _refuse_doubles("user_actions", (action.id for action in self.user_actions))
        for index, method in enumerate(self.delivery_methods):
            method.id = method.id or str(uuid.uuid5(_DELIVERY_NAMESPACE, f"{index}:{method.type}"))
        return self

    @property
    def timeout_s(self) -> float:
        """Seconds from opening the form to the node deadline."""
        return float(self.timeout * _SECONDS[self.timeout_unit])


def _refuse_doubles(where: str, names: Iterable[str]) -> None:
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        raise ValueError(f"{where}: {', '.join(map(repr, doubles))} is there more than once")
