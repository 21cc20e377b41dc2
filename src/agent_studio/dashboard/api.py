"""What pages ask for, as JSON: the views of an environment, its knowledge base, and the few things that can be done.

Reading is open to who may speak to the server at all (`capture.otlp.gate`); doing takes the local token. What went
wrong is `{"problem": {code, message, hint}}`.
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.responses import Response
from starlette.routing import Route

from agent_studio.capture.otlp import body
from agent_studio.dashboard import actions, view
from agent_studio.dashboard.answers import Answers
from agent_studio.dashboard.live import Stream
from agent_studio.dashboard.shell import HEADERS
from agent_studio.environment.detect import Environment
from agent_studio.errors import AgentStudioError, IntegrityError, UsageError
from agent_studio.knowledge import index, search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from agent_studio.dashboard.contexts import Contexts
    from agent_studio.environment.context import Context
    from agent_studio.monitor.summary import Window

HOURS = (1, 6, 24, 168, 720)
"""Stretches a page may show."""
_WORKERS = 2
"""Questions answered at once: the daemon has more urgent things to do."""
_SUBJECT_MAX = 1_000
_BODY_MAX_BYTES = 16_384
_HITS = 30


class Question(NamedTuple):
    """What a page asks."""

    environment: str
    """Empty for the server's own."""
    hours: int
    subject: str
    """A hook, a session, the words of a search."""

    @property
    def window(self) -> Window:
        """The stretch up to now."""
        return view.last(self.hours)


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
            return await anyio.to_thread.run_sync(self._answer, name, request.query_params, limiter=self._working)

        return answer

    def _answer(self, name: str, parameters: Mapping[str, str]) -> Response:
        def compute() -> dict[str, Any]:
            return VIEWS[name](self._contexts, asked)

        try:
            asked = _question(parameters)
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
        return list(Environment) if name == "overview" else [asked.environment]

    def _do_with(self, name: str) -> Callable[[Request], Any]:
        async def do(request: Request) -> Response:
            if not self._knows_token(request):
                error = UsageError(
                    "this needs the token of the dashboard",
                    hint="open the address that agent-studio monitor web prints; it holds the token",
                )
                return _problem(error, 401)
            if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return _problem(UsageError("send JSON"), 415)
            found = await body.read(request, _BODY_MAX_BYTES)
            if not found.is_whole:
                return _problem(UsageError("that is too long"), 413)
            return await anyio.to_thread.run_sync(self._do, name, found.data, limiter=self._working)

        return do

    def _do(self, name: str, data: bytes) -> Response:
        try:
            wanted = json.loads(data)
            if not isinstance(wanted, dict):
                return _problem(UsageError("send one JSON object"))
            environment = str(wanted.get("env", ""))
            done = actions.ACTIONS[name](self._contexts.open(environment), wanted)
            self._contexts.revision(environment).forget()
            return _json(json.dumps(done).encode())
        except (ValueError, RecursionError):
            return _problem(UsageError("that is no JSON"))
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


def _about(contexts: Contexts, asked: Question) -> dict[str, Any]:
    context = contexts.open(asked.environment)
    return {
        "project": context.project.path.name,
        "environment": str(contexts.open("").environment),
        "environments": list(Environment),
        "hours": HOURS,
    }


def _overview(contexts: Contexts, asked: Question) -> dict[str, Any]:
    """Return `{environments[overview, or {environment, problem} where one cannot be read]}`."""
    return {"environments": [_side(contexts, name, asked.window) for name in Environment]}


def _side(contexts: Contexts, name: str, window: Window) -> dict[str, Any]:
    try:
        return view.overview(contexts.open(name), window)
    except AgentStudioError as error:
        return {"environment": name, "problem": _written(error)}


def _knowledge(contexts: Contexts, asked: Question) -> dict[str, Any]:
    """Return `{query, artifacts, hits[{name, path, domain, description, score}], didYouMean}`."""
    root = contexts.open(asked.environment).root
    try:
        rows = index.load(root)
    except (FileNotFoundError, IntegrityError):
        return {"query": asked.subject, "artifacts": None, "hits": [], "didYouMean": None}
    hits = search.search(rows, asked.subject, limit=_HITS)
    columns = ("name", "path", "domain", "description")
    return {
        "query": asked.subject,
        "artifacts": sum(row["domain"] != index.TEST_DOMAIN for row in rows),
        "hits": [{**{name: hit.row[name] for name in columns}, "score": hit.score} for hit in hits],
        "didYouMean": search.suggest(rows, asked.subject) if asked.subject and not hits else None,
    }


def _of(show: Callable[[Context, Window], dict[str, Any]]) -> Callable[[Contexts, Question], dict[str, Any]]:
    return lambda contexts, asked: show(contexts.open(asked.environment), asked.window)


def _about_one(
    show: Callable[[Context, str, Window], dict[str, Any]],
) -> Callable[[Contexts, Question], dict[str, Any]]:
    return lambda contexts, asked: show(contexts.open(asked.environment), asked.subject, asked.window)


VIEWS: Mapping[str, Callable[[Contexts, Question], dict[str, Any]]] = {
    "about": _about,
    "overview": _overview,
    "hooks": _of(view.hooks),
    "hook": _about_one(view.hook),
    "agents": _of(view.agents),
    "errors": _of(view.errors),
    "costs": _of(view.costs),
    "sessions": _of(view.sessions),
    "session": _about_one(view.session),
    "trends": lambda contexts, asked: view.trends(contexts.open(asked.environment)),
    "alerts": lambda contexts, asked: view.alerts(contexts.open(asked.environment)),
    "knowledge": _knowledge,
}


def _question(parameters: Mapping[str, str]) -> Question:
    written = parameters.get("hours", "24")
    if written not in map(str, HOURS):
        raise UsageError(f"hours cannot be {written[:20]!r}", hint=f"one of {', '.join(map(str, HOURS))}")
    subject = parameters.get("of", "")
    if len(subject) > _SUBJECT_MAX:
        raise UsageError("what is asked about has too long a name")
    return Question(parameters.get("env", ""), int(written), subject)


def _json(data: bytes, status: int = 200) -> Response:
    return Response(data, status, headers={**HEADERS, "cache-control": "no-store"}, media_type="application/json")


def _problem(error: AgentStudioError, status: int = 0) -> Response:
    status = status or (400 if isinstance(error, UsageError) else 503)
    return _json(json.dumps({"problem": _written(error)}).encode(), status)


def _written(error: AgentStudioError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}
