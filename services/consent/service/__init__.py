"""The operations of the consent role, one module per noun."""
