"""Domain core of a small online bookshop."""
