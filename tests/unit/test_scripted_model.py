"""The scripted model: which call gets which reply, exactly."""

import asyncio
from contextlib import aclosing

import pytest

from graph.ports import ChatMessage, ChatRequest, ChatUsage
from models.errors import ScriptedError
from models.scripted_model import Script, ScriptedModel, ScriptedReply, ScriptedRule


def asking(text: str = "a question", name: str = "m") -> ChatRequest:
    """A request whose last user message is ``text``."""
    return ChatRequest("p", name, (ChatMessage("system", "be brief"), ChatMessage("user", text)))


async def pieces(model: ScriptedModel, request: ChatRequest) -> list[str]:
    """The texts of the answer, without its end."""
    return [delta.text async for delta in model.stream(request) if delta.finish_reason is None]


def saying(*texts: str, **conditions: str) -> ScriptedRule:
    """A rule whose n-th call says the n-th text."""
    return ScriptedRule(replies=tuple(ScriptedReply(chunks=(text,)) for text in texts), **conditions)


async def test_chunks_come_as_written_and_the_end_counts_them() -> None:
    """The chunks are passed on as they are; without numbers, words and chunks count as tokens."""
    deltas = [delta async for delta in ScriptedModel(Script.answer("a", "", " b")).stream(asking())]
    assert [delta.text for delta in deltas] == ["a", "", " b", ""]
    assert [delta.finish_reason for delta in deltas] == [None, None, None, "stop"]
    assert deltas[-1].usage == ChatUsage(prompt_tokens=4, completion_tokens=3)


async def test_numbers_of_the_script_win() -> None:
    """Usage and finish reason can be scripted."""
    script = Script.answer("a", prompt_tokens=11, completion_tokens=22, finish_reason="length")
    last = [delta async for delta in ScriptedModel(script).stream(asking())][-1]
    assert (last.finish_reason, last.usage) == ("length", ChatUsage(prompt_tokens=11, completion_tokens=22))


async def test_first_rule_that_fits_answers() -> None:
    """Rules are tried in order; all conditions of a rule must hold."""
    rules = (
        saying("both", model="m", message="exact"),
        saying("part", contains="art"),
        saying("model", model="m"),
        saying("rest"),
    )
    model = ScriptedModel(Script(rules=rules))
    requests = [asking("exact"), asking("a part"), asking("other"), asking("exact", "n"), asking("x", "n")]
    assert [(await pieces(model, request))[0] for request in requests] == ["both", "part", "model", "rest", "rest"]


async def test_calls_of_a_rule_get_its_replies_in_turn() -> None:
    """The n-th call gets the n-th reply, and the last one repeats; each rule counts its own calls."""
    model = ScriptedModel(Script(rules=(saying("one", "two", model="m"), saying("only"))))
    assert [(await pieces(model, asking()))[0] for _ in range(3)] == ["one", "two", "two"]
    assert await pieces(model, asking(name="n")) == ["only"]


async def test_call_without_a_rule_fails_by_its_message() -> None:
    """A script that says nothing about a call fails it with what was asked."""
    with pytest.raises(ScriptedError, match="model \"m\" and the message 'what'"):
        await pieces(ScriptedModel(Script()), asking("what"))


async def test_error_comes_after_the_chunks() -> None:
    """A scripted error keeps what was said before it."""
    deltas = ScriptedModel(Script.answer("so far", error="broken", error_type="OddError")).stream(asking())
    assert (await anext(deltas)).text == "so far"
    with pytest.raises(ScriptedError, match=r"^broken$") as caught:
        await anext(deltas)
    assert caught.value.error_type == "OddError"


async def test_without_a_script_the_question_comes_back_word_by_word() -> None:
    """The default answer is an echo that keeps every space."""
    assert await pieces(ScriptedModel(), asking("to be  or")) == ["to", " be", " ", " or"]


async def test_held_call_waits_until_it_is_released() -> None:
    """A reply can stop after so many chunks until somebody lets it go on."""
    model = ScriptedModel(Script.answer("a", "b", hold_after=1))
    call = asyncio.create_task(pieces(model, asking()))
    await model.wait_held()
    assert (model.calls[0].sent_count, call.done()) == (1, False)
    model.release()
    assert await call == ["a", "b"]
    assert model.calls[0].is_ended


async def test_reply_can_be_held_before_its_end() -> None:
    """Holding after the last chunk leaves the answer complete in text but not ended."""
    model = ScriptedModel(Script.answer("a", hold_after=1))
    async with aclosing(model.stream(asking())) as deltas:
        assert (await anext(deltas)).text == "a"
        last = asyncio.ensure_future(anext(deltas))
        await model.wait_held()
        model.release()
        assert (await last).finish_reason == "stop"


async def test_closed_call_is_recorded_as_cut_off() -> None:
    """Whoever closes the stream early leaves a call that has not ended."""
    model = ScriptedModel(Script.answer("a", "b"))
    async with aclosing(model.stream(asking())) as deltas:
        await anext(deltas)
    assert (model.calls[0].sent_count, model.calls[0].is_ended) == (1, False)


async def test_new_script_starts_over() -> None:
    """Replacing the script forgets calls and counts, and lets waiting calls go on."""
    model = ScriptedModel(Script.answer("old", hold_after=0))
    call = asyncio.create_task(pieces(model, asking()))
    await model.wait_held()
    model.replace_script(Script.answer("new"))
    assert await call == ["old"]
    assert model.calls == []
    assert await pieces(model, asking()) == ["new"]
