"""What the rungs ask of the world, one file for each side of it; phonecheck.eyes has the real ones."""
