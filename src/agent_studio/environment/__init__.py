"""Which environment a command acts on, how it is configured, and where its data lies."""
