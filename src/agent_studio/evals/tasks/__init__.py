"""Tasks: data in `.claude/evals/*.yaml`, checked against one schema."""
