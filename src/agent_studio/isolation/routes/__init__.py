"""Ways by which a command may try to reach what is protected, each a small function that tries one of them.

What is here runs inside the boundary that is being tested, as `python -I -S`: it needs the standard library alone. A
route returns the bytes that it got hold of, nothing when it changes something, and raises `OSError` when it is refused.
Nothing here judges: what was reached is seen from outside.
"""
