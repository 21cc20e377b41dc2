"""PostToolUse hook for Edit and Write: note on stderr which file changed and which test covers it.

It only prints, and always exits 0, so that it can never hold up an edit.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def note(path: Path, root: Path) -> str:
    """Return one line about an edited file, naming its test file if there is one."""
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    line = f"edited {shown.as_posix()}"
    test = root / "tests" / f"test_{path.stem}.py"
    if path.suffix == ".py" and path.parent.name == "bookshop" and test.is_file():
        line += f"; covered by tests/{test.name}"
    return line


def main() -> int:
    """Read the payload, report, and return the exit status."""
    try:
        edited = Path(json.load(sys.stdin)["tool_input"]["file_path"])
    except (ValueError, KeyError, TypeError):
        return 0
    root = Path(os.environ.get("CLAUDE_PROJECT_DIR") or Path.cwd())
    print(note(edited, root), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
