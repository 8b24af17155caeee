"""Proto to model and back for the records role; nothing else knows both."""
