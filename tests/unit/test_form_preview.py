"""A human-input node tried out without a run."""

import pytest

import factories as f
from actors.messages import KnownFiles
from graph.errors import InvalidInputError, InvalidWorkflowError
from hitl.errors import InvalidSubmissionError
from hitl.form_preview import outputs_of_answer, preview, request_of_node

CHOICE = {
    "type": "select",
    "output_variable_name": "size",
    "option_source": {"type": "variable", "selector": ["start", "sizes"], "value": []},
}
COMMENT = {
    "type": "paragraph",
    "output_variable_name": "comment",
    "default": {"type": "variable", "selector": ["start", "topic"], "value": ""},
}
MAIL = {
    "id": "m-1",
    "type": "email",
    "config": {
        "recipients": {"items": []},
        "subject": "About {{#start.topic#}}",
        "body": "{{#start.topic#}} {{#url#}}",
    },
}


def document(**data):
    """A file with one human-input node."""
    human = f.human(content="Take {{#start.topic#}}? {{#$output.comment#}}", inputs=[COMMENT, CHOICE], **data)
    human["data"]["delivery_methods"].append(MAIL)
    return f.document([f.start("topic"), human, f.end()], [f.edge("start", "human"), f.edge("human", "end", "approve")])


INPUTS = {"#start.topic#": "tea", "start.sizes": ["S", "L"]}


def test_preview_shows_the_form_that_would_open():
    """Content, defaults and options are filled in from the given variables."""
    assert preview(document(), "human", INPUTS) == {
        "TYPE": "human_input_required",
        "form_id": "human",
        "form_content": "Take tea? {{#$output.comment#}}",
        "inputs": [COMMENT, {**CHOICE, "option_source": {**CHOICE["option_source"], "value": ["S", "L"]}}],
        "actions": [
            {"id": "approve", "title": "Approve", "button_style": "default"},
            {"id": "reject", "title": "Reject", "button_style": "default"},
        ],
        "node_id": "human",
        "node_title": "human",
        "resolved_default_values": {"comment": "tea"},
    }


def test_variable_that_is_not_given_stays_as_its_name():
    """A preview without values shows where they go."""
    assert preview(document(), "human", {})["form_content"].startswith("Take start.topic?")


def test_answer_gives_the_outputs_of_the_node():
    """The outputs are those of a run; names that the form does not declare are kept."""
    outputs = outputs_of_answer(
        document(), "human", INPUTS, {"comment": "fine", "size": "L", "extra": 1}, "approve", KnownFiles()
    )
    assert outputs == {
        "comment": "fine",
        "size": "L",
        "extra": 1,
        "__action_id": "approve",
        "__action_value": "Approve",
        "__rendered_content": "Take tea? fine",
    }


def test_answer_that_does_not_fit_is_refused():
    """The answer is checked as in a run."""
    with pytest.raises(InvalidSubmissionError, match="Missing required inputs: size"):
        outputs_of_answer(document(), "human", INPUTS, {"comment": "fine"}, "approve", KnownFiles())


@pytest.mark.parametrize(
    ("node_id", "inputs", "message"),
    [
        ("nobody", {}, "there is no node 'nobody' in this workflow"),
        ("end", {}, "node 'end' is of kind 'end', not human-input"),
        ("human", {"topic": 1}, "inputs.topic: write a variable as node.name or #node.name#"),
    ],
)
def test_question_that_cannot_be_made_says_why(node_id, inputs, message):
    """Each refusal names what is wrong."""
    with pytest.raises(InvalidInputError) as caught:
        preview(document(), node_id, inputs)
    assert str(caught.value) == message


def test_unreadable_document_lists_its_faults():
    """A document that is no workflow is refused with its faults."""
    with pytest.raises(InvalidWorkflowError):
        preview({"app": 1}, "human", {})


def test_mail_texts_have_their_variables_and_keep_the_url():
    """Subject and body are filled in where the question is made; only the mailer knows the link."""
    request = request_of_node(document(), "human", INPUTS, "execution")
    config = request.delivery_methods[1]["config"]
    assert (config["subject"], config["body"]) == ("About tea", "tea {{#url#}}")
    assert (request.run_id, request.execution_id) == ("", "execution")
