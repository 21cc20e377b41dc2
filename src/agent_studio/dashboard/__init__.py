"""One view of an environment, drawn in the terminal and in the browser."""
