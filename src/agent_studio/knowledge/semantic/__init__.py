"""Ranking by meaning, for those who install the extra `semantic`: sentence vectors made here, from weights in a package.

Nothing is downloaded and no process is asked: `model` finds the weights, `encoder` computes, `vectors` keeps what was
computed, `embedding` brings it up to date, `fusion` adds it to the score of the words.
"""
