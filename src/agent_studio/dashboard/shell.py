"""The page and its parts: fixed files of the package, under headers that let a browser run nothing else.

The page holds no data; what it shows it asks for (`dashboard.api`). No script or style stands in it, no text becomes
markup (Trusted Types), no other site may frame, embed or read it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from starlette.requests import Request

    Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]

HOME = "/dashboard"
PAGES = (
    "overview", "hooks", "hook", "agents", "errors", "costs", "sessions", "session", "alerts", "knowledge",
    "artifact", "burnin", "evals", "evolution", "party",
)  # fmt: skip
"""Pages below `HOME`; what a page is about stands in its query."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Sent with every answer."""
_FOLDER = Path(__file__).parent / "assets"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def routes() -> list[Route]:
    """Return one route a page and one a file, read once."""
    files = {
        place.relative_to(_FOLDER).as_posix(): place for place in sorted(_FOLDER.rglob("*")) if place.suffix in _TYPES
    }
    page = _sender(files.pop("index.html"))
    assets = [Route(f"/assets/{name}", _sender(place), methods=["GET"]) for name, place in files.items()]
    pages = ["/", HOME, *(f"{HOME}/{name}" for name in PAGES), f"{HOME}/party/{{party}}"]
    return [*(Route(path, page, methods=["GET"]) for path in pages), *assets]


def _sender(place: Path) -> Endpoint:
    data = place.read_bytes()
    # Asked about each time and sent once: another version is another tag.
    headers = {**HEADERS, "cache-control": "no-cache", "etag": f'"{hashlib.sha256(data).hexdigest()[:32]}"'}

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type=_TYPES[place.suffix])

    return send
