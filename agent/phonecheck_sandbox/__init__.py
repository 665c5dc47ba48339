"""A carrier in a box: modem, radio, mobile network operator and platform, in namespaces of their own."""
