"""Slice to model input; the one implementation, shared with training and calibration."""
