"""`python -m lienthong.agent` is the same as the command `lienthong`."""

from lienthong.agent.cli import main

if __name__ == "__main__":
    main()
