"""``/v1``: chatflows for the holders of an app's key: a message is sent, its answer comes streaming or whole.

Source: spec/http.md 2.3, 3.10, 4.7; spec/hitl.md 4.7.
"""

from typing import Any

from fastapi import FastAPI, Request, Response

from actors.messages import RunOrder
from graph.errors import InvalidInputError
from graph.events import FormOpened, RunFinished, RunPaused
from hitl.surface import Surface
from surfaces.auth import calling_app, named_user, require_chat
from surfaces.chat_conversations import Conversations
from surfaces.chat_history import Messages
from surfaces.chat_order import conversation_of, order_message
from surfaces.chat_schemas import ChatRequestPayload
from surfaces.chat_shapes import blocking_message, blocking_pause
from surfaces.error_table import error_event
from surfaces.errors import JournalGapError, MessageFailedError
from surfaces.event_shapes import RunLabel
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection
from surfaces.routes import add_routes
from surfaces.run_endpoints import RunEndpoints, check_trace_session, keyed_starter
from surfaces.run_events import position_of, single
from surfaces.run_start import RunStart, run_start, started_stream, stream_reply
from surfaces.run_stream import dispositions_of, label_of
from surfaces.schemas import checked, read_object, run_reply
from surfaces.sse import event_frame


class ChatMessages:
    """Messages for the holders of an app's key."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        self._runs = RunEndpoints(ports)

    async def send(self, request: Request) -> Response:
        """Run the app's chatflow on a message, in a new conversation or one that the caller names."""
        app = await calling_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        user = named_user(body)
        require_chat(app)
        payload = checked(ChatRequestPayload, body)
        check_trace_session(request, payload)
        version_id = await self._runs.version(app, payload.workflow_id or None)
        starter = await keyed_starter(app, user, self._ports)
        start = await run_start(request, app, version_id, starter, self._ports)
        return await self.answer(start, payload, Surface.SERVICE_API, position_of(request) is not None)

    async def answer(self, start: RunStart, payload: ChatRequestPayload, surface: Surface, has_ids: bool) -> Response:
        """Answer one message, in the mode that it asks for.

        Args:
            start: who asks what.
            payload: the message.
            surface: the one that the answer goes out on.
            has_ids: whether the events of a stream carry ids.

        Raises:
            ResourceNotFoundError: the conversation does not exist for this caller.
            InvalidInputError: an input does not fit; in streaming mode that is an event.
            MessageFailedError: the run of a message in blocking mode has failed.
        """
        held, named = None, payload.conversation_id
        if named is not None:
            held = await conversation_of(named, start.conversation_owner, self._ports)
        is_stream = payload.response_mode == "streaming"
        try:
            order = await order_message(start, payload, held, self._ports)
        except InvalidInputError as error:
            if not is_stream:
                raise
            begun = {"conversation_id": named, "message_id": None, "created_at": int(self._ports.clock.now())}
            return stream_reply(single(event_frame(error_event(error, None, begun))), self._ports)
        label = await label_of(order.run, surface, self._ports, order.system["conversation_id"])
        if not is_stream:
            return run_reply(await self.whole(order, label))
        return await started_stream(order, label, self._ports, has_ids=has_ids)

    async def stop(self, request: Request) -> Response:
        """Stop the run of a message of the calling user; success is all that anybody is told, and durable by then."""
        app = await calling_app(request, self._ports)
        user = named_user(await read_object(request, self._ports.max_body_bytes))
        require_chat(app)
        return await self._runs.stopped(request, app, await keyed_starter(app, user, self._ports))

    async def whole(self, order: RunOrder, label: RunLabel) -> dict[str, Any]:
        """Run a message and return the reply of blocking mode, made of the facts that a stream would have told.

        Raises:
            MessageFailedError: its run has failed.
        """
        await self._ports.runs.start(order)
        projection, forms = RunProjection(label), dict[str, FormOpened]()
        last: RunPaused | RunFinished | None = None
        for number, fact in await self._ports.journal.read(order.run_id):
            projection.observe(number, fact)
            if isinstance(fact, FormOpened):
                forms[fact.form_id] = fact
            elif isinstance(fact, RunPaused | RunFinished):
                last = fact
                if isinstance(fact, RunPaused):
                    # An answer may have come already; what this caller waited for is the first pause.
                    break
        if last is None:
            raise JournalGapError(order.run_id)
        answer = projection.text.durable
        if isinstance(last, RunPaused):
            shown = await dispositions_of(order.run_id, last.form_ids, label.surface, self._ports)
            opened = [forms[form_id] for form_id in last.form_ids if form_id in forms]
            told = blocking_pause(label, last, opened, shown, answer, projection.metadata)
        elif last.status == "failed":
            raise MessageFailedError(last.error or "")
        else:
            told = blocking_message(label, answer, projection.metadata)
        return self._ports.links.refreshed(told, label.app_id)


def add_chat_api(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of conversations under ``/v1`` to ``app``."""
    chat, talks, history = ChatMessages(ports), Conversations(ports), Messages(ports)
    routes = (
        ("/v1/chat-messages", chat.send, "POST"),
        ("/v1/chat-messages/{task_id}/stop", chat.stop, "POST"),
        ("/v1/conversations", talks.list, "GET"),
        ("/v1/conversations/{conversation_id}", talks.delete, "DELETE"),
        ("/v1/conversations/{conversation_id}/name", talks.rename, "POST"),
        ("/v1/conversations/{conversation_id}/variables", talks.variables, "GET"),
        ("/v1/conversations/{conversation_id}/variables/{variable_id}", talks.set_variable, "PUT"),
        ("/v1/messages", history.list, "GET"),
        ("/v1/messages/{message_id}/feedbacks", history.rate, "POST"),
        ("/v1/messages/{message_id}/suggested", history.suggested, "GET"),
        ("/v1/app/feedbacks", history.feedbacks, "GET"),
    )
    add_routes(app, routes)
