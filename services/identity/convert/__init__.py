"""Proto to model and back for the identity role; nothing else knows both."""
