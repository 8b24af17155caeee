"""The identity role: persons, organizations (health facilities) and practitioners of the national index; who is who.

It owns identifiers and demographics, resolves them to persons, and files what documents say about a person. It never
holds a clinical fact, never decides who may see what (consent does), and never matches a person on an identifier
alone.
"""
