"""One file a rung; the rung's slug is the file's name, with hyphens."""
