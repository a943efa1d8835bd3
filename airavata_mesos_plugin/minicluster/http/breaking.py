"""Answers that do not arrive, or not whole."""

from __future__ import annotations

from aiohttp import web


def hang_up(request: web.BaseRequest) -> web.Response:
    """Close the connection; nothing of the response is sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def tear(request: web.BaseRequest, answer: web.Response) -> web.StreamResponse:
    """Promise the whole answer, send half of it, close the connection."""
    body = answer.body
    whole = body if isinstance(body, bytes) else b""
    torn = web.StreamResponse(headers={**answer.headers, "Content-Length": str(len(whole))})
    await torn.prepare(request)
    await torn.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()
    return torn
