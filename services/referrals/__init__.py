"""The referrals role: referrals and follow-up appointments between facilities.

It owns what becomes of a referral paper or follow-up slip after the document that carries it was accepted. It never takes in documents itself,
never decides who may read, and keeps the clinical text of a paper encrypted.
"""
