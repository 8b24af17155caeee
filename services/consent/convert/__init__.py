"""Proto to model and back for the consent role; nothing else knows both."""
