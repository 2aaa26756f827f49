"""Model input to scores: bundle, backends, prediction."""
