"""How tasks come to be, and results of others: a starter suite, a recorded session, an import."""
