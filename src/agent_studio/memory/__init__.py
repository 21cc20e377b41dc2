"""What a project's agents have learned: notes in Markdown for all, and a sidecar for each agent alone."""
