"""Words every package shares. Standard library, numpy and pydantic only."""
