"""A span for each POST, in which whatever the request leads to goes on."""

from aiohttp import web
from aiohttp.hdrs import METH_POST

from app import tracing
from web.metrics import UNKNOWN
from web.problems import Handler


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer within a span; other methods change nothing, and have none."""
    traces = tracing.current()
    if traces is None or request.method != METH_POST:
        return await handler(request)
    resource = request.match_info.route.resource
    route = UNKNOWN if resource is None else resource.canonical
    with traces.serve(f"{METH_POST} {route}", request.headers) as span:
        span.set_attributes({"http.request.method": METH_POST, "http.route": route})
        response = await handler(request)
        traces.note_answer(span, response.status)
        return response
