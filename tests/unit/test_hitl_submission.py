"""Answers against their form: what is accepted, in which order things are checked, and in which words refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.answer_file import FileFacts, NoFiles
from hitl.errors import InvalidSubmissionError
from hitl.form import FormDefinition
from hitl.submission import rendered_content, resolved_for_get, validate_submission

COMMENT = {"type": "paragraph", "output_variable_name": "comment", "default": None}
COLOUR = {
    "type": "select",
    "output_variable_name": "colour",
    "option_source": {"type": "constant", "selector": [], "value": ["red", "blue"]},
}
PLACE = {
    "type": "select",
    "output_variable_name": "place",
    "option_source": {"type": "variable", "selector": ["start", "places"], "value": ["Rome", "Oslo"]},
}
REPORT = {"type": "file", "output_variable_name": "report"}
PHOTOS = {"type": "file-list", "output_variable_name": "photos", "number_limits": 2}
ACTIONS = [{"id": "approve", "title": "Approve it"}, {"id": "reject", "title": "Reject it"}]
PDF = {"transfer_method": "local_file", "upload_file_id": "mine", "type": "document"}


class OneUpload:
    """A submitter who owns the upload ``mine``."""

    def uploaded(self, upload_file_id):
        """Return the one upload."""
        return FileFacts("report.pdf", "application/pdf", 12) if upload_file_id == "mine" else None

    def remote(self, url):
        """Return nothing."""
        return None


def asks(*inputs):
    """Return a form with these inputs and the two actions."""
    return FormDefinition("content", list(inputs), ACTIONS)


def refusal(definition, action, inputs, files=None):
    """Return the text with which the answer is refused."""
    with pytest.raises(InvalidSubmissionError) as caught:
        validate_submission(definition, action, inputs, files or OneUpload())
    assert caught.value.code == "invalid_form_data"
    return str(caught.value)


def test_submission_holds_action_and_values():
    """An accepted answer carries the action with its title and every value."""
    answer = validate_submission(asks(COMMENT, COLOUR), "reject", {"comment": "no", "colour": "red"}, NoFiles())
    assert (answer.action_id, answer.action_title) == ("reject", "Reject it")
    assert answer.values == {"comment": "no", "colour": "red"}


@pytest.mark.parametrize("action", ["other", "", "Approve it", "APPROVE", "__timeout"])
def test_unknown_action_is_refused_by_its_name(action):
    """The action must be the id of one of the form's actions."""
    assert refusal(asks(), action, {}) == f"Invalid action: {action}"


def test_form_without_actions_takes_no_answer():
    """Where the form has no actions, every action is unknown."""
    assert refusal(FormDefinition("content"), "approve", {}) == "Invalid action: approve"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Missing required inputs: comment, colour, report"),
        ({"colour": "red"}, "Missing required inputs: comment, report"),
        ({"comment": "", "report": PDF}, "Missing required inputs: colour"),
    ],
)
def test_missing_inputs_are_named_in_order_of_the_form(inputs, message):
    """Every declared input must be there, whatever its type; the text lists those that are not."""
    assert refusal(asks(COMMENT, COLOUR, REPORT), "approve", inputs) == message


def test_empty_text_is_an_answer():
    """An empty string fills a paragraph; presence is what counts."""
    assert validate_submission(asks(COMMENT), "approve", {"comment": ""}, NoFiles()).values == {"comment": ""}


@pytest.mark.parametrize("value", [None, 1, True, [], {}, ["text"]])
def test_paragraph_must_be_a_string(value):
    """Only text fills a paragraph: anything else would fail later, inside the run."""
    message = refusal(asks(COMMENT), "approve", {"comment": value})
    assert message == "Invalid value for paragraph input 'comment': must be a string"


def test_input_of_an_old_text_type_is_a_paragraph():
    """Forms of older files name their text inputs otherwise; they take text all the same."""
    old = {"type": "text_input", "output_variable_name": "old"}
    assert validate_submission(asks(old), "approve", {"old": "x"}, NoFiles()).values == {"old": "x"}
    assert refusal(asks(old), "approve", {"old": 1}).startswith("Invalid value for paragraph input 'old'")


@pytest.mark.parametrize("declared", [COLOUR, PLACE])
@pytest.mark.parametrize("value", ["green", "", "RED", None, 1, ["red"], {"value": "red"}])
def test_select_takes_only_its_options(declared, value):
    """A select's value is one of the options as they stood at opening, also where a variable supplied them."""
    name = declared["output_variable_name"]
    assert refusal(asks(declared), "approve", {name: value}).startswith(f"Invalid value for select input '{name}': ")


def test_select_takes_options_that_a_variable_supplied():
    """Options resolved from a variable are as good as constant ones."""
    assert validate_submission(asks(PLACE), "approve", {"place": "Oslo"}, NoFiles()).values == {"place": "Oslo"}


@pytest.mark.parametrize("source", [None, {}, {"type": "variable", "value": []}, {"type": "constant", "value": None}])
def test_select_without_options_takes_nothing(source):
    """Where no options could be resolved there is no valid value."""
    empty = {**COLOUR, "option_source": source}
    assert refusal(asks(empty), "approve", {"colour": "red"}).startswith("Invalid value for select input 'colour': ")


@pytest.mark.parametrize(
    ("action", "inputs", "start"),
    [
        ("other", {"colour": "green"}, "Invalid value for select input 'colour'"),
        ("other", {"report": "x"}, "Invalid value for file input 'report'"),
        ("other", {"photos": "x"}, "Invalid value for file list input 'photos'"),
        ("other", {"photos": "x", "report": "x", "colour": "x"}, "Invalid value for select input 'colour'"),
        ("other", {}, "Invalid action: other"),
        ("approve", {"colour": "green"}, "Invalid value for select input 'colour'"),
        ("approve", {"colour": "red"}, "Missing required inputs: report, photos"),
    ],
)
def test_checks_come_in_order_values_action_missing(action, inputs, start):
    """Values that are there are checked first, in the order of the form; then the action; then what is missing."""
    assert refusal(asks(COLOUR, REPORT, PHOTOS), action, inputs).startswith(start)


def test_unknown_names_are_accepted_and_kept():
    """Names that the form does not declare are stored as they came."""
    extra = {"comment": "ok", "note": {"deep": [1, None]}, "n": 3}
    assert validate_submission(asks(COMMENT), "approve", extra, NoFiles()).values == extra


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)))
def test_answer_never_changes_what_it_was_made_from(inputs):
    """Checking an answer changes neither the submitted mapping nor, but for files, its values."""
    before = dict(inputs)
    answer = validate_submission(asks(), "approve", inputs, NoFiles())
    assert inputs == before == answer.values
    assert answer.values is not inputs


@pytest.mark.parametrize(
    ("action", "inputs"),
    [
        ("approve", {"comment": "\ud800"}),
        ("approve", {"comment": "ok", "extra": 2**80}),
        ("approve", {"\udfff": "ok", "comment": ""}),
        ("\ud800", {"comment": ""}),
    ],
)
def test_answer_that_cannot_be_stored_is_refused(action, inputs):
    """JSON can carry what no store keeps, such as half a surrogate pair; that is the submitter's to correct."""
    message = refusal(asks(COMMENT), action, inputs)
    assert message.startswith("Invalid inputs: ")
    assert message.isprintable()


def test_answer_nested_without_end_is_refused():
    """A value nested deeper than a store can write is refused like any other bad value."""
    deep = []
    for _ in range(2000):
        deep = [deep]
    assert refusal(asks(), "approve", {"extra": deep}).startswith("Invalid inputs: ")


def test_refused_answer_leaves_form_and_mapping_alone():
    """After a refusal the same form takes a corrected answer."""
    definition, inputs = asks(COLOUR), {"colour": "green"}
    refusal(definition, "approve", inputs)
    assert inputs == {"colour": "green"}
    assert validate_submission(definition, "approve", {"colour": "blue"}, NoFiles()).values == {"colour": "blue"}


def test_file_becomes_a_file_object():
    """A submitted file mapping is stored as the file object that variables hold."""
    values = validate_submission(asks(REPORT), "approve", {"report": PDF}, OneUpload()).values
    assert values["report"]["dify_model_identity"] == "__dify__file__"
    assert (values["report"]["filename"], values["report"]["related_id"]) == ("report.pdf", "mine")


def test_file_list_becomes_file_objects():
    """Each mapping of a list becomes a file object, in order; an empty list is an answer."""
    values = validate_submission(asks(PHOTOS), "approve", {"photos": [PDF, PDF]}, OneUpload()).values
    assert [each["related_id"] for each in values["photos"]] == ["mine", "mine"]
    assert validate_submission(asks(PHOTOS), "approve", {"photos": []}, NoFiles()).values == {"photos": []}


@pytest.mark.parametrize("value", [None, "x", {}, PDF, 1])
def test_file_list_must_be_a_list(value):
    """A single file does not fill a list of files."""
    message = refusal(asks(PHOTOS), "approve", {"photos": value})
    assert message == "Invalid value for file list input 'photos': must be a list of file mappings"


@pytest.mark.parametrize(("limit", "is_allowed"), [(0, True), (None, True), (3, True), (2, False), (1, False)])
def test_file_list_keeps_its_limit(limit, is_allowed):
    """A limit above zero bounds the number of files; zero means no limit."""
    definition = asks({**PHOTOS, "number_limits": limit})
    if is_allowed:
        validate_submission(definition, "approve", {"photos": [PDF] * 3}, OneUpload())
    else:
        message = refusal(definition, "approve", {"photos": [PDF] * 3})
        assert message == f"Invalid value for file list input 'photos': at most {limit} files are allowed"


def test_one_bad_file_refuses_the_list():
    """Every file of a list is checked by itself."""
    message = refusal(asks(PHOTOS), "approve", {"photos": [PDF, {**PDF, "upload_file_id": "theirs"}]})
    assert message == "Invalid value for file list input 'photos': no such uploaded file"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("plain", "plain"),
        (3, "3"),
        (1.5, "1.5"),
        (True, "True"),
        ({"a": "ü"}, '{"a": "ü"}'),
        (["x", 1], '["x", 1]'),
        ([], "[]"),
    ],
)
def test_resolved_defaults_are_read_as_text(value, text):
    """A form's GET shows defaults as text: null empty, objects and lists as JSON, anything else as it prints."""
    assert resolved_for_get(FormDefinition("", resolved_default_values={"name": value})) == {"name": text}


def test_rendered_content_shows_the_answer_in_its_place():
    """After an answer the content shows text as it is and files by their number."""
    content = "Say {{#$output.comment#}}, see {{#$output.report#}} and {{#$output.photos#}}."
    definition = FormDefinition(content, [COMMENT, REPORT, PHOTOS], ACTIONS)
    inputs = {"comment": "yes", "report": PDF, "photos": [PDF, PDF], "extra": "no"}
    values = validate_submission(definition, "approve", inputs, OneUpload()).values
    assert rendered_content(definition, values) == "Say yes, see [file] and [2 files]."
