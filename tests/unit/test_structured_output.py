"""A JSON schema and pictures in the words of each kind of target."""

import base64
from typing import Any

import pytest

from graph.ports import ChatMessage, ChatRequest, ImagePart
from models.catalog import Catalog, LocalTarget
from models.errors import InvalidCatalogError, ModelCallRefusedError
from models.images import content_of, images_in
from models.llama_engine import llama_body
from models.structured_output import with_schema

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
ASKED = (ChatMessage("system", "S"), ChatMessage("user", "U"))


def asking(**more) -> ChatRequest:
    """A request that wants SCHEMA."""
    return ChatRequest("p", "m", ASKED, {"temperature": 0, "response_format": "text"}, schema=SCHEMA, **more)


def test_free_text_is_left_alone():
    """A request without a schema stays the same."""
    request = ChatRequest("p", "m", ASKED)
    assert with_schema(request, "json_schema") is request


def test_schema_becomes_a_response_format():
    """A target that holds the answer to a schema gets it in the response format, over one of the file."""
    told = with_schema(asking(), "json_schema")
    assert told.messages == ASKED
    assert told.parameters["response_format"]["json_schema"] == {"name": "answer", "schema": SCHEMA}


@pytest.mark.parametrize(("support", "format_"), [("json_object", "json_object"), ("instruct", None)])
def test_model_is_told_where_the_target_cannot(support, format_):
    """Any other target is told in the system message, with JSON as format where it has one."""
    told = with_schema(asking(), support)
    assert told.messages[0].text.startswith("S\n\n") and '"properties"' in told.messages[0].text
    assert told.parameters.get("response_format") == format_


def test_completion_model_and_missing_system_message_are_told():
    """A completion model is told at the end, and a prompt without a system message gets one."""
    told = with_schema(asking(mode="completion"), "json_schema")
    assert told.messages[-1].text.endswith("JSON:") and "response_format" not in told.parameters
    bare = ChatRequest("p", "m", ASKED[1:], schema=SCHEMA)
    assert [message.role for message in with_schema(bare, "instruct").messages] == ["system", "user"]


def test_local_engine_takes_the_schema_and_no_images():
    """The local engine is held to the schema, and refuses images by saying what to do."""
    body = llama_body(asking(), LocalTarget())
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    seeing = ChatRequest("p", "m", (ChatMessage("user", "U", (ImagePart(b"x", "image/png"),)),))
    with pytest.raises(ModelCallRefusedError, match="text only"):
        llama_body(seeing, LocalTarget())


def test_images_become_data_urls_and_back():
    """An image goes out as a data URL before the text, and comes back from one."""
    image = ImagePart(b"pixels", "image/png", "low", "image.png")
    content: list[Any] = list(content_of(ChatMessage("user", "U", (image,))))
    picture, text = content
    assert text == {"type": "text", "text": "U"} and picture["image_url"]["detail"] == "low"
    assert content_of(ChatMessage("user", "U")) == "U"

    class Delta:
        images = (picture, {"image_url": {"url": "https://example.com/a.png"}}, {"image_url": {"url": "data:x,y"}})

    (back,) = images_in(Delta)
    assert (back.content, back.mime_type, back.name) == (b"pixels", "image/png", "image.png")
    assert base64.b64encode(b"pixels").decode() in picture["image_url"]["url"]
    assert "pixels" not in repr(image)


def test_upstream_says_what_it_does_with_a_schema():
    """The models file may name how an upstream takes schemas, and nothing else."""
    document = {
        "targets": {"up": {"kind": "openai", "base_url": "https://example.com", "structured_output": "instruct"}}
    }
    assert Catalog.parse(document).targets["up"].structured_output == "instruct"
    document["targets"]["up"]["structured_output"] = "maybe"
    with pytest.raises(InvalidCatalogError):
        Catalog.parse(document)
