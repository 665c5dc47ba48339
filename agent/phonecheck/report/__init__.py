"""The report: one file for a vendor or an operator that answers their questions and tells nobody's identity."""
