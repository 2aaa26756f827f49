"""Files to one ordered series in HU: headers, geometry, completeness, selection, gate."""
