"""Chat through Ray Serve: real weights and the script, from start of a stream to its cancellation."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
import ray
from ray import serve

from graph.ports import ChatDelta, ChatMessage, ChatRequest, ImagePart
from local_cluster import LocalCluster
from models.applications import model_applications
from models.catalog import Catalog
from models.chat_deployment import SlotReport
from models.errors import (
    ModelCallRefusedError,
    ModelNotConfiguredError,
    ModelUnavailableError,
    ModelWeightsError,
    ScriptedError,
)
from models.model_client import LOCAL_DEPLOYMENT, SCRIPTED_DEPLOYMENT, ServeChatModel, application_name
from models.scripted_model import Script

CATALOG = {
    "targets": {
        "single": {"kind": "local", "slots": 1, "context_tokens": 2048, "max_tokens": 32},
        "several": {"kind": "local", "slots": 4, "context_tokens": 512, "max_tokens": 32},
        "absent": {"kind": "local", "model_path": "/nowhere/weights.gguf"},
        "undeployed": {"kind": "scripted"},
    },
    "models": [
        {"provider": "test", "name": "single", "target": "single"},
        {"provider": "test", "name": "several", "target": "several"},
        {"provider": "test", "name": "absent", "target": "absent"},
        {"provider": "test", "name": "undeployed", "target": "undeployed"},
        {"provider": "script", "name": "*", "target": "scripted"},
    ],
}
WAIT_S = 120.0
STORY = "Tell me a short story about a cat."


def asking(name: str, text: str = STORY, provider: str = "test", mode: str = "chat", **parameters: Any) -> ChatRequest:
    """A request with one user message; at temperature 0 unless it says otherwise."""
    return ChatRequest(provider, name, (ChatMessage("user", text),), {"temperature": 0, **parameters}, mode)


async def answer(model: ServeChatModel, request: ChatRequest) -> list[ChatDelta]:
    """The whole answer."""
    return [delta async for delta in model.stream(request)]


def text_of(deltas: list[ChatDelta]) -> str:
    """The text of an answer."""
    return "".join(delta.text for delta in deltas)


def replica(target: str, deployment: str = LOCAL_DEPLOYMENT) -> Any:
    """The handle of the deployment of a target."""
    return serve.get_deployment_handle(deployment, app_name=application_name(target))


async def slot_report(target: str, is_settled: Any = lambda report: True) -> SlotReport:
    """What the replica says of its slots, asked until it is as expected."""
    async with asyncio.timeout(WAIT_S):
        while True:
            report = await replica(target).report.remote()
            if is_settled(report):
                return report
            await asyncio.sleep(0.02)


class Caller:
    """Calls a model from a process of its own, and stops reading in the middle without closing."""

    def __init__(self, catalog: dict[str, Any]) -> None:
        self._model = ServeChatModel(Catalog.parse(catalog))
        self._deltas: Any = None

    async def first_text(self, request: ChatRequest) -> str:
        """The first piece of text."""
        self._deltas = self._model.stream(request)
        return (await anext(self._deltas)).text


@pytest.fixture(scope="session")
async def model(ray_cluster: LocalCluster) -> AsyncIterator[ServeChatModel]:
    """The client, with all targets but ``undeployed`` deployed."""
    catalog = Catalog.parse(CATALOG)
    applications = model_applications(catalog)
    del applications[application_name("undeployed")], applications[application_name("local")]
    for name, application in applications.items():
        await asyncio.to_thread(serve.run, application, name=name, route_prefix=None)
    yield ServeChatModel(catalog)
    for name in applications:
        await asyncio.to_thread(serve.delete, name, _blocking=False)


async def test_schema_holds_the_local_model(model: ServeChatModel) -> None:
    """A small model that could not do it by itself answers in JSON of the schema."""
    schema = {
        "type": "object",
        "properties": {"mood": {"type": "string", "enum": ["good", "bad"]}},
        "required": ["mood"],
    }
    request = replace(asking("single", "I love this sunny day! Which mood is this?", max_tokens=30), schema=schema)
    assert json.loads(text_of(await answer(model, request)))["mood"] in ("good", "bad")


async def test_local_model_refuses_images(model: ServeChatModel) -> None:
    """The weights read text only, and the caller is told so."""
    seen = ChatMessage("user", "What is this?", (ImagePart(b"pixels", "image/png"),))
    with pytest.raises(ModelCallRefusedError, match="text only"):
        await answer(model, replace(asking("single"), messages=(seen,)))


async def test_answer_is_streamed_in_pieces_with_usage(model: ServeChatModel) -> None:
    """An answer comes in several pieces; the last one, and only that, ends it and counts its tokens."""
    deltas = await answer(model, asking("single", max_tokens=20))
    assert len([delta for delta in deltas if delta.text]) > 5
    assert [delta.finish_reason for delta in deltas] == [None] * (len(deltas) - 1) + ["length"]
    usage = deltas[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 20
    assert usage.prompt_tokens > 10
    assert usage.time_to_first_token_s is not None
    assert 0 < usage.time_to_first_token_s < usage.latency_s


async def test_answer_repeats_at_temperature_zero_when_the_replica_has_one_slot(model: ServeChatModel) -> None:
    """The same question gets the same text twice."""
    first = text_of(await answer(model, asking("single", "Name three animals.")))
    assert first
    assert text_of(await answer(model, asking("single", "Name three animals."))) == first


async def test_seed_repeats_an_answer_with_chance(model: ServeChatModel) -> None:
    """With a temperature, equal seeds give equal texts and another seed another text."""
    texts = [text_of(await answer(model, asking("single", temperature=1.5, seed=seed))) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


async def test_stop_word_ends_the_answer_and_stays_out_of_it(model: ServeChatModel) -> None:
    """The text ends before the stop word, by finish reason stop."""
    whole = text_of(await answer(model, asking("single")))
    word = whole.split()[6]
    deltas = await answer(model, asking("single", stop=[word]))
    assert text_of(deltas) == whole[: whole.index(word)]
    assert deltas[-1].finish_reason == "stop"


async def test_completion_mode_continues_the_text(model: ServeChatModel) -> None:
    """In completion mode the prompt is continued as it stands, without a chat template."""
    deltas = await answer(model, asking("single", "The capital of France is", mode="completion", max_tokens=4))
    assert text_of(deltas).startswith(" Paris")
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.prompt_tokens == 5


async def test_length_of_the_answer_defaults_to_the_targets(model: ServeChatModel) -> None:
    """A node that names no length gets at most the target's."""
    usage = (await answer(model, asking("single")))[-1].usage
    assert usage is not None
    assert usage.completion_tokens <= 32


async def test_closing_the_stream_frees_the_slot(model: ServeChatModel) -> None:
    """A reader that closes the stream ends the generation: few tokens were made, and the next call is answered."""
    before = await slot_report("single")
    async with aclosing(model.stream(asking("single", max_tokens=1500))) as deltas:
        async for delta in deltas:
            if delta.text:
                break
    await answer(model, asking("single", max_tokens=1))
    after = await slot_report("single", lambda report: report.busy_count == 0)
    assert after.cancelled_count == before.cancelled_count + 1
    assert after.generated_tokens - before.generated_tokens < 500  # of 1500, which take 20 s


async def test_cancelling_the_task_frees_the_slot_while_the_prompt_is_read(model: ServeChatModel) -> None:
    """A stop before the first token ends the call too, although a long prompt takes ten seconds to read."""
    before = await slot_report("single")
    task = asyncio.create_task(answer(model, asking("single", "dog cat " * 700)))
    await slot_report("single", lambda report: report.busy_count == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = await slot_report("single", lambda report: report.busy_count == 0)
    assert after.cancelled_count == before.cancelled_count + 1
    assert after.generated_tokens == before.generated_tokens


async def test_cancelling_a_call_that_waits_for_a_slot_leaves_the_others(model: ServeChatModel) -> None:
    """A call that is stopped while it waits never reaches the engine; the one that holds the slot goes on."""
    holder = asyncio.create_task(answer(model, asking("single", max_tokens=60)))
    await slot_report("single", lambda report: report.busy_count == 1)
    waiting = asyncio.create_task(answer(model, asking("single")))
    await slot_report("single", lambda report: report.waiting_count == 1)
    waiting.cancel()
    await slot_report("single", lambda report: report.waiting_count == 0)
    assert (await holder)[-1].finish_reason == "length"


async def test_death_of_the_caller_frees_the_slot(model: ServeChatModel) -> None:
    """A killed process ends the generation that it waited for; any actor of the cluster can call a model."""
    before = await slot_report("single")
    caller: Any = ray.remote(num_cpus=0)(Caller).remote(CATALOG)
    assert await caller.first_text.remote(asking("single", max_tokens=1500))
    ray.kill(caller)
    after = await slot_report("single", lambda report: report.busy_count == 0)
    assert after.cancelled_count == before.cancelled_count + 1


async def test_several_slots_answer_at_the_same_time(model: ServeChatModel) -> None:
    """Four calls on four slots run together, and each gets its own answer."""
    calls = [asyncio.create_task(answer(model, asking("several", f"Count from {n}.", seed=n))) for n in range(4)]
    report = await slot_report("several", lambda report: report.busy_count == 4)
    assert report.waiting_count == 0
    for deltas in await asyncio.gather(*calls):
        assert text_of(deltas)
        assert deltas[-1].finish_reason in ("length", "stop")


async def test_prompt_longer_than_the_context_is_refused_with_numbers(model: ServeChatModel) -> None:
    """The error says how long the prompt is and how much fits; it arrives with its class."""
    with pytest.raises(ModelCallRefusedError, match=r"512"):
        await answer(model, asking("several", "cat " * 800))


async def test_answer_format_that_the_engine_cannot_read_is_refused(model: ServeChatModel) -> None:
    """What the engine says about a bad schema reaches the node as a refusal."""
    with pytest.raises(ModelCallRefusedError):
        await answer(model, asking("several", response_format="json_schema", json_schema={"type": "nonsense"}))


async def test_missing_weights_fail_the_call_with_what_to_set(model: ServeChatModel) -> None:
    """A target without weights deploys, and tells each caller which path is wrong."""
    with pytest.raises(ModelWeightsError, match=r"model_path /nowhere/weights\.gguf"):
        await answer(model, asking("absent"))


async def test_unlisted_model_fails_the_call_with_what_to_add(model: ServeChatModel) -> None:
    """A name that the catalog does not have fails by name, and the text says what entry to add."""
    with pytest.raises(ModelNotConfiguredError, match='name: "gpt-9", target: local'):
        await answer(model, asking("gpt-9", provider="langgenius/openai/openai"))


async def test_undeployed_target_is_unavailable(model: ServeChatModel) -> None:
    """A target whose application does not run fails the call at once instead of waiting for it."""
    with pytest.raises(ModelUnavailableError):
        await answer(model, asking("undeployed"))


async def test_script_answers_exactly_through_serve(model: ServeChatModel) -> None:
    """The chunks of the script come as they are, one by one, and the calls can be read back."""
    scripted = replica("scripted", SCRIPTED_DEPLOYMENT)
    await scripted.replace_script.remote(Script.answer("Hel", "lo ", "", "you", completion_tokens=9))
    deltas = await answer(model, asking("any", provider="script"))
    assert [delta.text for delta in deltas] == ["Hel", "lo ", "", "you", ""]
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == 9
    (call,) = await scripted.calls.remote()
    assert call.request.messages == (ChatMessage("user", STORY),)
    assert call.is_ended


async def test_scripted_error_arrives_with_class_and_text(model: ServeChatModel) -> None:
    """An error after some text keeps the text that came before, its class, its message and its type."""
    await replica("scripted", SCRIPTED_DEPLOYMENT).replace_script.remote(
        Script.answer("so far", error="out of words", error_type="QuotaError")
    )
    deltas = model.stream(asking("any", provider="script"))
    assert (await anext(deltas)).text == "so far"
    with pytest.raises(ScriptedError, match=r"^out of words$") as caught:
        await anext(deltas)
    assert caught.value.error_type == "QuotaError"


async def test_closing_the_stream_cancels_the_script_between_two_chunks(model: ServeChatModel) -> None:
    """A scripted call that is cut off sends no further chunk."""
    scripted = replica("scripted", SCRIPTED_DEPLOYMENT)
    await scripted.replace_script.remote(Script.answer("a", "b", hold_after=1))
    async with aclosing(model.stream(asking("any", provider="script"))) as deltas:
        assert (await anext(deltas)).text == "a"
        await scripted.wait_held.remote()
    await scripted.release.remote()
    (call,) = await scripted.calls.remote()
    assert (call.sent_count, call.is_ended) == (1, False)
