"""An hour in which everything is used at once and much goes wrong; at its end every total has to be exact."""
