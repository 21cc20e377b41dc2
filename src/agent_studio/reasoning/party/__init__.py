"""Party mode: separate opinions on one question, an exact tally, and proof that they were separate."""
