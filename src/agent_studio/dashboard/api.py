"""What pages ask for, as JSON: the views of an environment, its knowledge base, and the few things that can be done.

Reading is open to who may speak to the server at all (`capture.otlp.gate`); doing takes the local token, and is done
to the environment whose token it is, no other. What went
wrong is `{"problem": {code, message, hint}}`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from agent_studio.capture.otlp import body
from agent_studio.dashboard import actions
from agent_studio.dashboard.answers import Answers
from agent_studio.dashboard.live import Stream
from agent_studio.dashboard.questions import VIEWS, of_problem, question
from agent_studio.dashboard.shell import HEADERS
from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError, BusyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from agent_studio.dashboard.contexts import Contexts
    from agent_studio.dashboard.questions import Question

_WORKERS = 2
"""Questions answered at once: the daemon has more urgent things to do."""
_BODY_MAX_BYTES = 16_384


class Api:
    """Answers pages."""

    def __init__(
        self,
        contexts: Contexts,
        token: Callable[[], str],
        *,
        is_stopping: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        """`token` names what has to be sent to do something; `say` is told of our own bugs."""
        self._contexts = contexts
        self._token = token
        self._say = say
        self._answers = Answers()
        self._working = CapacityLimiter(_WORKERS)
        self._stream = Stream(is_stopping, CapacityLimiter(1))

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/events", self.events, methods=["GET"]),
            *(Route(f"/api/{name}", self._answer_with(name), methods=["GET"]) for name in VIEWS),
            *(Route(f"/api/alerts/{name}", self._do_with(name), methods=["POST"]) for name in actions.ACTIONS),
        ]

    def warm(self) -> None:
        """Work the first page out before anybody asks for it; what is wrong with it is told when it is asked for."""
        self._answer("overview", {})

    async def events(self, request: Request) -> Response:
        """Tell a page of every change in its environment."""
        try:
            name = request.query_params.get("env", "")
            revision = await anyio.to_thread.run_sync(self._contexts.revision, name, limiter=self._working)
            return self._stream.response(revision)
        except AgentStudioError as error:
            return _problem(error)

    def _answer_with(self, name: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await self._beside(self._answer, name, request.query_params)

        return answer

    async def _beside(self, work: Callable[..., Response], *given: Any) -> Response:
        """Work an answer out in a thread; a server that ends meanwhile says so, for what is going on has no bug."""
        try:
            return await anyio.to_thread.run_sync(work, *given, limiter=self._working)
        except asyncio.CancelledError:
            return _problem(BusyError("the server is stopping", hint="ask again when it has been started again"))

    def _answer(self, name: str, parameters: Mapping[str, str]) -> Response:
        def compute() -> dict[str, Any]:
            return VIEWS[name](self._contexts, asked)

        try:
            asked = question(parameters)
            self._contexts.named(asked.environment)
            revisions = [self._revision(one) for one in self._looked_at(name, asked)]
            return _json(self._answers.get((name, asked, *revisions), compute))
        except AgentStudioError as error:
            return _problem(error)
        except Exception as error:  # noqa: BLE001 - a page is told, the server goes on
            return self._bug(name, error)

    def _revision(self, environment: str) -> str:
        """Return an environment's revision; one that cannot be read has its fault for one, and its view tells."""
        try:
            return self._contexts.revision(environment)()
        except AgentStudioError as error:
            return error.message

    @staticmethod
    def _looked_at(name: str, asked: Question) -> list[str]:
        if name in {"burnin", "evals"}:
            return [Environment.STAGING]
        return list(Environment) if name == "overview" else [asked.environment]

    def _do_with(self, name: str) -> Callable[[Request], Any]:
        async def do(request: Request) -> Response:
            if not self._knows_token(request):
                error = UsageError(
                    "this needs the token of the dashboard",
                    hint="open the address that agent-studio monitor web prints; it holds the token or says which",
                )
                return _problem(error, 401)
            if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return _problem(UsageError("send JSON"), 415)
            try:
                found = await body.read(request, _BODY_MAX_BYTES)
            except (body.TooSlow, ClientDisconnect):
                return _problem(UsageError("that did not come to its end"), 408)
            if not found.is_whole:
                return _problem(UsageError("that is too long"), 413)
            return await self._beside(self._do, name, found.data)

        return do

    def _do(self, name: str, data: bytes) -> Response:
        try:
            wanted = json.loads(data)
        except (ValueError, RecursionError):
            return _problem(UsageError("that is no JSON"))
        if not isinstance(wanted, dict):
            return _problem(UsageError("send one JSON object"))
        try:
            environment = self._contexts.named(str(wanted.get("env", "")))
            if environment is not self._contexts.named(""):
                error = UsageError(
                    f"the token of {self._contexts.named('')} does not act on {environment}",
                    hint=f"open the address that agent-studio monitor web --env {environment} prints",
                )
                return _problem(error, 403)
            done = actions.ACTIONS[name](self._contexts.open(environment), wanted)
            self._contexts.revision(environment).forget()
            return _json(json.dumps(done).encode())
        except AgentStudioError as error:
            return _problem(error)
        except Exception as error:  # noqa: BLE001 - as above
            return self._bug(name, error)

    def _knows_token(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token().encode())

    def _bug(self, name: str, error: Exception) -> Response:
        self._say(f"dashboard: {name}: {type(error).__name__}: {error}")
        message = f"this could not be worked out: {type(error).__name__}"
        return _problem(AgentStudioError(message, hint="the server's own output says more"), 500)


def _json(data: bytes, status: int = 200) -> Response:
    return Response(data, status, headers={**HEADERS, "cache-control": "no-store"}, media_type="application/json")


def _problem(error: AgentStudioError, status: int = 0) -> Response:
    status = status or (400 if isinstance(error, UsageError) else 503)
    return _json(json.dumps({"problem": of_problem(error)}).encode(), status)
