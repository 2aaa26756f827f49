"""Outbox to hospital."""
