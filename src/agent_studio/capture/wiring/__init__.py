"""Claude Code wired to the recorder: entries in its settings, hooks under the clock, the proof that it works."""
