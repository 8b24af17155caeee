"""The consent role: the one place that answers "may X see Y for purpose Z", and the ledger of every answer.

It owns grants and refusals, decisions with their explanation, and the per-person access ledger. It never stores a document or a name of a
person, and no other role keeps a copy of a consent: a withdrawal therefore holds from the next decision on.
"""
