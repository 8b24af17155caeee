"""The facility agent: signs documents with the facility's key, submits them, and keeps and checks the receipts.

It runs at the facility and holds the only private keys outside the system; they never leave it.
"""
