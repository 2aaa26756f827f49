"""Result to DICOM and FHIR objects."""
