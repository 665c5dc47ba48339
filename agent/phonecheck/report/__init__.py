"""The one file to send: what is in it, and its page with pictures."""
