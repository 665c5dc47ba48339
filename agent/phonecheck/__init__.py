"""The device agent: one PhoneCheck exchange over the modem, with evidence of the path."""

__version__ = "0.1.0"
