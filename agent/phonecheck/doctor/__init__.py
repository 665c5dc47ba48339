"""The ladder of small checks that finds out why a SIM does not verify: one cause, one cure."""
