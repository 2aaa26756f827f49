"""Scores to decision, key slices and reasons."""
