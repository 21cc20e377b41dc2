"""Where production is, whose it is, what it went through, and how it becomes another release."""
