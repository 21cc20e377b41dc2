"""Claude Code wired to the recorder: entries in its settings, hooks under the clock, the proof that it works."""

from __future__ import annotations

from agent_studio.capture.wiring.install import (
    Options,
    check_settings,
    install_hooks,
    is_wired,
    keep_wired,
    overlay,
)
from agent_studio.capture.wiring.settings import Change
from agent_studio.capture.wiring.status import findings

__all__ = ["Change", "Options", "check_settings", "findings", "install_hooks", "is_wired", "keep_wired", "overlay"]
