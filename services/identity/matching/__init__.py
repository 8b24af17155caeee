"""Record linkage by demographics: which entries to look at, how well they agree, and what follows. Pure; the store does the looking.

Fellegi and Sunter (1969) with term frequencies, in bits: log2 of the odds that two records are one person, starting from one in the population.
"""
