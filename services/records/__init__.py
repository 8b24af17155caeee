"""The records role: takes signed documents in, keeps their exact bytes sealed, gives them out on a decision of the consent
role, and carries them onward. It never decides who may read, never judges a signature, and never says who a person is.
"""
