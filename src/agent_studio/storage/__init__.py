"""Files that cannot be led astray, torn or lost."""
