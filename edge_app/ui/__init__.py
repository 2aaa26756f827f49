"""Store to screen; the only importer of PySide6."""
