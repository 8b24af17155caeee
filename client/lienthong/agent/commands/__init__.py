"""The commands of `lienthong`, one module per noun."""
