"""Outbox to hospital: objects leave by DICOM C-STORE, each once, over a link that may fail at any moment."""
