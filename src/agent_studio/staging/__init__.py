"""Setting an environment up and proving that it works."""
