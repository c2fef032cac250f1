"""http-request: one HTTP request made of templates, and its answer as values.

Where requests may go, and how large and slow answers may be, is the HTTP port's part; what is sent is made here and
in ``graph.nodes.http_parts``.

Source: spec/graph.md 2.8.
"""

from typing import Any

from graph.errors import NodeError
from graph.nodes.http_parts import HttpRequestData, RequestText, body_of, text_of_request
from graph.nodes.kind import EffectContext, EffectStep, NodeKind, NodeResult
from graph.ports import HttpCall, HttpReply
from graph.variable_pool import VariablePool

_SENT_METHODS = frozenset({"get", "head", "post", "put", "delete", "patch"})


def _compile(data: HttpRequestData) -> EffectStep:
    text = RequestText(data)
    timeouts = {f"{name}_timeout_s": seconds for name, seconds in data.timeout if seconds}
    must_succeed = data.error_strategy is not None or data.retry_config.retry_enabled

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        request = text.render(lambda template: template.text(pool))
        shown = {"request": text_of_request(text.render(lambda template: template.masked(pool)), pool)}
        try:
            if data.method.lower() not in _SENT_METHODS:
                raise NodeError(f"Invalid http method {data.method}", "InvalidHttpMethodError")
            body = await body_of(request, pool, context.effects.files)
            call = HttpCall(
                method=data.method.upper(),
                url=request.url,
                params=tuple(request.params),
                headers=tuple({**body.headers(request), **request.authorization}.items()),
                body=body.content,
                is_multipart=body.is_multipart,
                **timeouts,
                verify_tls=data.ssl_verify,
                idempotency_key=context.execution_id,
            )
            reply = await context.effects.http.send(call)
        except NodeError as error:
            raise NodeError(error.message, error.error_type, None, shown) from error
        outputs = _outputs(reply)
        if must_succeed and not 200 <= reply.status_code < 300:
            reason = f"Request failed with status code {reply.status_code}"
            raise NodeError(reason, "HTTPResponseCodeError", outputs, shown)
        return NodeResult(outputs=outputs, process_data=shown)

    return step


def _outputs(reply: HttpReply) -> dict[str, Any]:
    return {
        "status_code": reply.status_code,
        "body": "" if reply.file else reply.text,
        "headers": reply.headers,
        "files": [reply.file] if reply.file else [],
    }


KIND = NodeKind(type="http-request", data=HttpRequestData, compile_effect=_compile, supports_retry=True)
