"""Pictures in the words of OpenAI-compatible models: data URLs both ways."""

import base64
import binascii
from typing import Any

from graph.ports import ChatMessage, ImagePart


def content_of(message: ChatMessage) -> str | list[dict[str, Any]]:
    """Return the ``content`` of a message: its text, or its images and then its text as parts."""
    if not message.images:
        return message.text
    parts: list[dict[str, Any]] = [_image_part(image) for image in message.images]
    if message.text:
        parts.append({"type": "text", "text": message.text})
    return parts


def _image_part(image: ImagePart) -> dict[str, Any]:
    encoded = base64.b64encode(image.content).decode("ascii")
    url = f"data:{image.mime_type};base64,{encoded}"
    return {"type": "image_url", "image_url": {"url": url, "detail": image.detail}}


def images_in(delta: Any) -> tuple[ImagePart, ...]:
    """Return the pictures in a piece of an answer; what is not a whole data URL is left out."""
    found = []
    for entry in getattr(delta, "images", None) or ():
        place = entry.get("image_url") if isinstance(entry, dict) else None
        image = _read(place.get("url") if isinstance(place, dict) else None)
        if image is not None:
            found.append(image)
    return tuple(found)


def _read(url: Any) -> ImagePart | None:
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    head, comma, encoded = url.removeprefix("data:").partition(",")
    mime_type, *options = head.split(";")
    if not comma or "base64" not in options:
        return None
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    kind = mime_type or "image/png"
    return ImagePart(content, kind, name=f"image.{kind.rpartition('/')[2]}")
