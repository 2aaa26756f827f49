"""Socket to durable bytes: the DICOM port the scanner pushes to."""
