"""What the gates look at, one module a question."""
