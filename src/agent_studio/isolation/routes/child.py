"""What runs inside the boundary: tries the routes of a plan and writes what each got, one JSON object a line.

`python -I -S child.py PLAN`: PLAN is a JSON file with `result` (a file to write), `scratch` (a folder to write in),
`outside`, `more` (files with further routes), and `attempts`, each with
`route`, `file`, `folder`, `inner`, `scratch`, `given`.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location


def main() -> None:
    """Try every route of the plan in order."""
    _find_package()
    from agent_studio.isolation.routes import changing, machine, reading  # noqa: PLC0415 - found by the line above
    from agent_studio.isolation.routes.attempt import Attempt, tried  # noqa: PLC0415 - the same

    with open(sys.argv[1], "rb") as file:
        plan = json.load(file)
    routes = {**reading.ROUTES, **changing.ROUTES, **machine.ROUTES}
    apart = {*reading.APART, *changing.APART}
    for more in plan["more"]:
        routes |= runpy.run_path(more)["ROUTES"]
    # on a full disk what is not written counts as not tried, without a traceback on the user's screen
    with suppress(OSError), open(plan["result"], "ab", buffering=0) as result:
        for number, one in enumerate(plan["attempts"]):
            scratch = os.path.join(plan["scratch"], str(number))
            os.mkdir(scratch)
            attempt = Attempt(one["file"], one["folder"], one["inner"], scratch, plan["outside"], one["given"])
            found = tried(routes[one["route"]], attempt, apart=one["route"] in apart)
            result.write(json.dumps({"number": number, **found}).encode() + b"\n")


def _find_package() -> None:
    """Let our package be imported where the folder above it may not be listed."""
    folder = os.path.abspath(os.path.join(__file__, "../../.."))
    spec = spec_from_file_location(
        "agent_studio", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec:
        sys.modules["agent_studio"] = module_from_spec(spec)


if __name__ == "__main__":
    main()
