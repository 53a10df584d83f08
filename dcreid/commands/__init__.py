"""What `python -m dcreid` can do, a command a file: its options, and what it does with them."""
