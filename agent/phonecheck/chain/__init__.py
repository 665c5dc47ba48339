"""The HTTP exchange: a check URL and its redirects, every socket handed in by the caller."""
