"""WHIP (RFC 9725): encoders and cameras publish by HTTP.

A POST offers media and creates a resource. At the resource's URL the publisher sends candidates (PATCH) and
ends the session (DELETE).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from inference.stages import Stage
from mediaserver.server.client_network import client_network
from mediaserver.server.core import MediaServer
from mediaserver.server.http_access import bearer_token, client_address
from mediaserver.server.http_answers import refusal, refusal_for, try_later
from mediaserver.server.http_body import BodyRefused, read_body
from mediaserver.server.http_entrance import closed_now, foreign_origin, readable_by_page
from mediaserver.session.ending import END_RULES, ConnectionEnded
from mediaserver.session.publication import IceRestart, Publication, PublishRequest
from mediaserver.webrtc.ice_addresses import ice_servers
from signaling.auth import Audience, Bearer, Expired, Unauthorized, identify
from signaling.messages import MAX_TEXT_BYTES, STREAM_NAME, ErrorCode, IceServer, ProtocolError
from signaling.pipeline_config import PipelineConfig
from signaling.rate_limit import RateLimits
from signaling.sdp_fragment import MAX_FRAGMENT_BYTES, parse_fragment

_ENDPOINT = "/whip"
_STREAM = "/whip/{stream:[^/]*}"
_RESOURCE = "/whip/session/{resource:[A-Za-z0-9_-]{1,64}}"
_SDP = "application/sdp"
_SDP_FRAGMENT = "application/trickle-ice-sdpfrag"
_PREFLIGHT_S = 3600
_OFFERS_PER_S, _OFFER_BURST = 2.0, 64.0
"""Limit of offers of one subject, or of one network on a server without keys. Each offer is costly."""
_STATUS = {
    ErrorCode.BAD_SDP: 400,
    ErrorCode.NO_VIDEO: 406,
    ErrorCode.UNSUPPORTED_CODEC: 406,
    ErrorCode.MODEL_UNAVAILABLE: 406,
    ErrorCode.BAD_CANDIDATE: 400,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.OUT_OF_SOCKETS: 503,
}
_RETRY_AFTER_S = {ErrorCode.RATE_LIMITED: 2, ErrorCode.OUT_OF_SOCKETS: 10}


class _Refused(Exception):
    """The request is answered with ``answer``."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


class WhipEndpoint:
    """The handlers of ``/whip``, which publish on ``server``."""

    def __init__(self, server: MediaServer) -> None:
        self._server = server
        self._offer_limits = RateLimits(_OFFERS_PER_S, _OFFER_BURST)

    def routes(self) -> list[web.RouteDef]:
        """Returns routes for all methods, as reserved methods must get 405 (RFC 9725, section 4.2)."""
        endpoint = {"POST": self._publish, "OPTIONS": self._describe_endpoint}
        resource = {"PATCH": self._patch, "DELETE": self._delete, "OPTIONS": self._describe_resource}
        return [
            *self._on(_ENDPOINT, endpoint),
            *self._on(_STREAM, endpoint),
            *self._on(_RESOURCE, resource),
        ]

    def _on(self, path: str, handlers: Mapping[str, Handler]) -> list[web.RouteDef]:
        allowed = ", ".join(handlers)

        async def not_allowed(request: web.Request) -> web.StreamResponse:
            answer = refusal_for(405)
            answer.headers["Allow"] = allowed
            return answer

        every = [*handlers.items(), ("*", not_allowed)]
        return [web.route(method, path, self._answering(handler)) for method, handler in every]

    def _answering(self, handler: Handler) -> Handler:
        """Wraps ``handler``: refuses foreign pages, and adds CORS headers."""

        async def answer(request: web.Request) -> web.StreamResponse:
            foreign = foreign_origin(request, self._server)
            if foreign is not None:
                return foreign
            try:
                answer = await handler(request)
            except (_Refused, BodyRefused) as exc:
                answer = exc.answer
            answer.headers.update(readable_by_page(request))
            return answer

        return answer

    # --- the endpoint ---

    async def _describe_endpoint(self, request: web.Request) -> web.Response:
        """Answers OPTIONS: for browsers (CORS), and with the ICE servers for clients before an offer."""
        headers = _preflight("POST, OPTIONS") | {"Accept-Post": _SDP}
        answer = web.Response(headers=headers)
        if "Authorization" in request.headers or self._server.settings.token_keys is None:
            subject = self._subject(request)
            _add_links(answer, ice_servers(self._server.settings, subject or "whip", time.time()))
        return answer

    async def _publish(self, request: web.Request) -> web.Response:
        bearer = self._bearer(request)
        if self._server.settings.workers > 1:  # later requests could reach another worker
            return refusal(
                501, "several_workers", "WHIP is for servers with one worker (the setting workers)"
            )
        _check_type(request, _SDP, "Accept-Post")
        pipeline = _pipeline(request)
        closed = closed_now(request, self._server)
        if closed is not None:
            return closed
        address = client_address(request, self._server.settings.trusted_proxies)
        publisher = bearer.subject if bearer else client_network(address)
        if not self._offer_limits.allows(publisher, time.monotonic()):
            raise _refused(ProtocolError(ErrorCode.RATE_LIMITED, "too many offers; wait some seconds"))
        sdp = _text(await read_body(request, MAX_TEXT_BYTES))
        wanted = PublishRequest(sdp, bearer, _stream_name(request), pipeline)
        publication = self._server.publish(wanted)
        try:
            published = await publication.published()
        except ProtocolError as exc:
            raise _refused(exc) from exc
        except ConnectionEnded as exc:
            raise _Refused(_ended(exc)) from exc
        # ``node`` leads later requests to this node.
        node = self._server.settings.node_name
        answer = web.Response(
            status=201,
            body=published.answer.encode(),
            content_type=_SDP,
            headers={
                "Location": f"{_ENDPOINT}/session/{publication.resource}?node={node}",
                "ETag": f'"{publication.entity_tag}"',
                "Accept-Patch": _SDP_FRAGMENT,
            },
        )
        _add_links(answer, published.ice_servers)
        return answer

    # --- a resource ---

    async def _describe_resource(self, request: web.Request) -> web.Response:
        return web.Response(headers=_preflight("PATCH, DELETE, OPTIONS") | {"Accept-Patch": _SDP_FRAGMENT})

    async def _patch(self, request: web.Request) -> web.Response:
        publication = self._publication(request)
        _check_type(request, _SDP_FRAGMENT, "Accept-Patch")
        wanted = request.headers.get("If-Match", "*")
        if wanted != "*" and f'"{publication.entity_tag}"' not in map(str.strip, wanted.split(",")):
            return refusal(412, "precondition_failed", "If-Match names another ICE session")
        body = _text(await read_body(request, MAX_FRAGMENT_BYTES))
        try:
            await publication.add_candidates(parse_fragment(body))
        except ProtocolError as exc:
            raise _refused(exc) from exc
        except IceRestart:
            return refusal(
                422, "ice_restart", "ICE is not restarted here: publish again, under the same name"
            )
        except ConnectionEnded as exc:
            raise _Refused(_no_such_session()) from exc
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        """Ends the session. If-Match is ignored, as it concerns ICE sessions (RFC 9725, section 4.3.1)."""
        await self._server.unpublish(self._publication(request))
        return web.Response()

    def _publication(self, request: web.Request) -> Publication:
        """Returns the publication of the URL, for its own publisher only, whose token may have expired."""
        publication = self._server.publication(request.match_info["resource"])
        try:
            subject = self._subject(request)
        except _Expired as exc:
            if publication is None or publication.subject != exc.subject:
                raise
            subject = exc.subject
        if publication is None or publication.subject != subject:
            raise _Refused(_no_such_session())
        return publication

    def _subject(self, request: web.Request) -> str | None:
        bearer = self._bearer(request)
        return bearer.subject if bearer else None

    def _bearer(self, request: web.Request) -> Bearer | None:
        """Checks the token, and returns its bearer; ``None`` if the server has no keys."""
        keys = self._server.settings.token_keys
        if keys is None:
            return None
        token = bearer_token(request)
        try:
            region = self._server.settings.region
            return identify(token, keys.by_id, {Audience.SESSION}, time.time(), region)
        except Unauthorized as exc:
            challenge = "Bearer" if token is None else 'Bearer error="invalid_token"'  # RFC 6750, section 3
            answer = refusal(401, "unauthorized", str(exc), {"WWW-Authenticate": challenge})
            if isinstance(exc, Expired):
                raise _Expired(answer, exc.subject) from exc
            raise _Refused(answer) from exc


class _Expired(_Refused):
    """The token was valid for ``subject`` and has expired."""

    def __init__(self, answer: web.Response, subject: str) -> None:
        super().__init__(answer)
        self.subject = subject


def _check_type(request: web.Request, wanted: str, header: str) -> None:
    if request.content_type != wanted:
        message = f"the body must be {wanted}"
        raise _Refused(refusal(415, "unsupported_media_type", message, {header: wanted}))


def _stream_name(request: web.Request) -> str | None:
    name = request.match_info.get("stream")
    if name is not None and not re.fullmatch(STREAM_NAME, name):
        rule = "the name of a stream has 1 to 64 letters, digits and any of - . _ ~"
        raise _Refused(refusal(400, "bad_stream_name", rule))
    return name


def _pipeline(request: web.Request) -> PipelineConfig:
    """Parses ``?models=detect,ocr``: these stages are on, others off. Without it the defaults apply."""
    asked = request.query.get("models")
    if asked is None:
        return PipelineConfig()
    names = {name.strip() for name in asked.split(",")} - {""}
    if not names <= set(Stage):
        raise _Refused(refusal(400, "bad_models", f"models is a list of {','.join(Stage)}"))
    on: dict[str, Any] = {stage: stage in names for stage in Stage}
    return PipelineConfig(**on)


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise _Refused(refusal(400, "bad_request", "the body is not UTF-8")) from exc
    if not text:
        raise _Refused(refusal(400, "bad_request", "the body is empty"))
    return text


def _refused(error: ProtocolError) -> _Refused:
    headers = {"Retry-After": str(_RETRY_AFTER_S[error.code])} if error.code in _RETRY_AFTER_S else {}
    return _Refused(refusal(_STATUS[error.code], error.code, error.message, headers))


def _ended(end: ConnectionEnded) -> web.Response:
    """Makes the response if the connection ended before the answer."""
    retry_after_s = END_RULES[end.reason].retry_after_s
    if retry_after_s is None:
        return refusal(409, end.reason, "another publisher of this name took over")
    return try_later(end.reason, retry_after_s, {})


def _no_such_session() -> web.Response:
    return refusal(404, "not_found", "no such session, or it has ended")


def _preflight(methods: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
    }


def _add_links(answer: web.Response, servers: list[IceServer]) -> None:
    """Adds a ``Link`` for each URL of an ICE server (RFC 9725, section 4.6)."""
    for server in servers:
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            if server.username is not None:
                link += f'; username="{server.username}"; credential="{server.credential}"'
                link += '; credential-type="password"'
            answer.headers.add("Link", link)
