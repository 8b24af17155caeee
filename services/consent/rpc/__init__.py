"""The servicers of the consent role, one module per proto service: convert, call one operation, convert back."""
