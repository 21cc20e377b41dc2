"""Parts of the verb `run`."""
