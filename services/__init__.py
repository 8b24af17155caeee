"""Everything that Liên Thông runs: the chassis and the five roles."""
