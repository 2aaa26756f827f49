"""Composition roots: receive, work, screen, deliver, and serve, which supervises them."""
