"""A witness of transparency logs (C2SP tlog-witness): it cosigns a log's checkpoint only after checking that it extends the last one.

Whoever runs one vouches for nothing but this: the log never showed it two histories. Needs the extra `witness`.
"""
