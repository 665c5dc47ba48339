"""The command line: one file a verb; stdout carries the answer, stderr progress, errors and log."""
