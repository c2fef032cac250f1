"""The approval workflow of spec/http.md 15, in the variants that tests of the surfaces need."""

from typing import Any

from factories import document, edge, end, human, llm, node

TOPIC = {"variable": "topic", "label": "Topic", "type": "text-input", "required": True, "max_length": 10}
PICTURE = {"variable": "picture", "label": "Picture", "type": "file", "required": False}
RUN = {"inputs": {"topic": "tea"}, "user": "u-1"}
STREAMED = {**RUN, "response_mode": "streaming"}
ANSWER = {"inputs": {"comment": "ok"}, "action": "approve", "user": "u-1"}


def started(*variables: dict[str, Any]) -> dict[str, Any]:
    """Return the start node with the given variables, "topic" if none."""
    return node("start1", "start", title="Start", variables=list(variables or (TOPIC, PICTURE)))


def approval(**data: Any) -> dict[str, Any]:
    """Return start -> human input -> end; ``data`` goes into the human-input node."""
    data = {"title": "Review", "content": "Write about {{#start1.topic#}}?\n\n{{#$output.comment#}}", **data}
    nodes = [started(), human("hi1", **data), end("end1", answer=["hi1", "comment"])]
    return document(nodes, [edge("start1", "hi1"), edge("hi1", "end1", "approve")])


def two_approvals() -> dict[str, Any]:
    """Return start -> human input -> human input -> end."""
    nodes = [started(), human("hi1"), human("hi2"), end("end1", answer=["hi2", "comment"])]
    edges = [edge("start1", "hi1"), edge("hi1", "hi2", "approve"), edge("hi2", "end1", "approve")]
    return document(nodes, edges)


def straight() -> dict[str, Any]:
    """Return start -> end: it gives its topic back."""
    return document([started(), end("end1", answer=["start1", "topic"])], [edge("start1", "end1")])


def written() -> dict[str, Any]:
    """Return start -> model -> end, whose text is streamed."""
    nodes = [started(), llm("llm1", "Write."), end("end1", answer=["llm1", "text"])]
    return document(nodes, [edge("start1", "llm1"), edge("llm1", "end1")])


def with_mail(approval: dict[str, Any]) -> dict[str, Any]:
    """Return the approval workflow with e-mail to an outside address and to the workspace besides its web app."""
    recipients = {"whole_workspace": True, "items": [{"type": "external", "email": "ann@example.org"}]}
    config = {"recipients": recipients, "subject": "Well?", "body": "{{#url#}}"}
    asking = next(each["data"] for each in approval["workflow"]["graph"]["nodes"] if each["id"] == "hi1")
    asking["delivery_methods"].append({"type": "email", "enabled": True, "id": "mail-1", "config": config})
    return approval
