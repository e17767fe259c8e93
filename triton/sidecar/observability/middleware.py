"""What every HTTP request brings along: its id, and the trace it belongs to."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from sidecar.observability.request_ids import HEADER, adopt_request_id
from sidecar.observability.tracing import Tracing


def adopt_caller(tracing: Tracing, answer: bool) -> Middleware:
    """Take over the caller's request id and trace. Belongs before all other middleware.

    With `answer` the id is in the answer, too; behind the front it need not be.
    """

    @web.middleware
    async def adopt(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        request_id = adopt_request_id(request.headers)
        tracing.adopt(request.headers)
        response = await handler(request)
        if answer:
            response.headers[HEADER] = request_id
        return response

    return adopt
