"""Its place puts this folder on the import path, for `edgeos_devices`."""
