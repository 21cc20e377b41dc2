"""Model servers of this machine at their usual ports; no other address is ever looked at."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS: Mapping[str, int] = {"ollama": 11_434, "llama-server": 8_080, "vllm": 8_000, "lmstudio": 1_234}
HOST = "127.0.0.1"
_PATIENCE_S = 0.5
_BYTES_MAX = 1 << 20
_MODELS_MAX = 50


class Server(NamedTuple):
    """A server that answers."""

    name: str
    url: str
    models: tuple[str, ...]


def url(name: str) -> str:
    """Return where a server of this name is asked."""
    return f"http://{HOST}:{PORTS[name]}/v1"


def running() -> list[Server]:
    """Return the servers that list their models now."""
    with ThreadPoolExecutor(len(PORTS)) as pool:
        listed = pool.map(_listed, PORTS.values())
    return [Server(name, url(name), models) for name, models in zip(PORTS, listed, strict=True) if models is not None]


def _listed(port: int) -> tuple[str, ...] | None:
    """Return the models that a port lists, or None when no model server answers there."""
    asked = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE_S)
    try:
        asked.request("GET", "/v1/models", headers={"Accept": "application/json"})
        answer = asked.getresponse()
        said = json.loads(answer.read(_BYTES_MAX)) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    finally:
        asked.close()
    listed = said.get("data") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        return None
    names = [one.get("id") for one in listed if isinstance(one, dict)]
    return tuple(name[:200] for name in names if isinstance(name, str))[:_MODELS_MAX]
