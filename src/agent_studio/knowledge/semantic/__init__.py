"""Ranking by meaning, for those who install the extra `semantic`: vectors of texts, from weights in a package.

They are computed here: nothing is downloaded and no service is asked. `model` finds the weights, `encoder` computes,
`vectors` keeps what was computed, `embedding` brings it up to date, `meaning` adds it to the score of the words.
"""
