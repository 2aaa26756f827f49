"""Data sets to weights (torch); the vehicle never imports this."""
