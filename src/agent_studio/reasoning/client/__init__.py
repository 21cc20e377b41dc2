"""Skills and commands through which Claude Code uses party mode and elicitation: they call our own command line."""
