"""What is carried to a vehicle: exact packages, wheelhouse, licences, bill of materials. Runs on a workshop machine."""
