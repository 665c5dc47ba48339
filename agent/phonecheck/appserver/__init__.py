"""The customer's application server: it creates checks, and it alone says whether a number matched."""
