"""The operations of the signing role, one module per noun."""
