"""What longop is for; each file says how to run it."""
