"""The process in which the packaged model runs: one request on standard input, one answer on standard output."""

from __future__ import annotations

import json
import os
from typing import Any

_CONTEXT_TOKENS = 8_192
_STDOUT, _STDERR = 1, 2


def main() -> None:
    """Read `{"weights", "body"}`, write the engine's answer as JSON; what the engine logs goes to stderr."""
    answer = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    with open(0, "rb") as given:
        asked: dict[str, Any] = json.load(given)
    said = json.dumps(_answered(asked)).encode()
    while said:
        said = said[os.write(answer, said) :]
    os._exit(0)  # the engine's own way out takes seconds


def _answered(asked: dict[str, Any]) -> Any:
    import xllamacpp  # noqa: PLC0415 - heavy, and an extra

    settings = xllamacpp.CommonParams()
    settings.model.path = asked["weights"]
    settings.n_ctx, settings.n_parallel, settings.warmup = _CONTEXT_TOKENS, 1, False
    settings.cpuparams.n_threads = 1  # several are asked at once; two threads waiting for each other are slower
    return xllamacpp.Server(settings).handle_chat_completions(asked["body"])


if __name__ == "__main__":
    main()
