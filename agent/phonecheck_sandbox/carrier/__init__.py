"""What the mobile network operator runs: its hops, its partner interface, its DNS, and the lab of odd hops."""
