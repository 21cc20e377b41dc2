"""New agents, skills, commands and workflows: from a need through research and checks into the working checkout."""
