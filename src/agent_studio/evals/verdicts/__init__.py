"""What attempts say of two sets of definitions, and how it is shown."""
