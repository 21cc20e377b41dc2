"""One attempt: a fresh copy, one set of definitions, one client, and what became of it."""
