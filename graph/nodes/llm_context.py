"""The context of an llm node: text or knowledge items for ``{{#context#}}``, and where they come from.

Source: spec/graph.md 2.4 and 2.19.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from graph.errors import NodeError
from graph.variable_pool import VariablePool

_RENAMED = {
    "segment_hit_count": "hit_count",
    "segment_word_count": "word_count",
    "segment_index_node_hash": "index_node_hash",
}
_KEPT = (
    "position", "dataset_id", "dataset_name", "document_id", "document_name", "data_source_type", "segment_id",
    "retriever_from", "score", "segment_position", "page", "doc_metadata",
)  # fmt: skip


class ContextData(BaseModel):
    """Text or knowledge items that the placeholder ``{{#context#}}`` receives."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    variable_selector: list[str] | None = None

    def read(self, pool: VariablePool) -> tuple[str, list[dict[str, Any]]]:
        """Return the text of the context, and the retriever resources of its knowledge items.

        Raises:
            NodeError: an item has neither text nor content.
        """
        if not self.enabled or not self.variable_selector:
            return "", []
        value = pool.get(self.variable_selector)
        if isinstance(value, str):
            return value, []
        if not isinstance(value, list):
            return "", []
        text = "\n".join(_content(item) for item in value).strip()
        return text, [resource for item in value if (resource := _resource(item)) is not None]


def _content(item: Any) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, dict) or "content" not in item:
        raise NodeError(f"Invalid context structure: {item}", "InvalidContextStructureError")
    return str(item["content"])


def _resource(item: Any) -> dict[str, Any] | None:
    """Return a knowledge item as the wire names it (spec/http.md 3.10), None for any other item."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict) or metadata.get("_source") != "knowledge":
        return None
    resource = {name: metadata.get(name) for name in _KEPT}
    resource |= {theirs: metadata.get(ours) for ours, theirs in _RENAMED.items()}
    extra = {name: item[name] for name in ("title", "files", "summary") if name in item}
    return {**resource, "content": item.get("content"), **extra}
