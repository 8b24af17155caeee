"""Destinations beyond the house, one adapter each."""
