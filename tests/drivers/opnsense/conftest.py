"""Its place puts this folder on the import path, for `opnsense_device`."""
