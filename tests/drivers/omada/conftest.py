"""Its place puts this folder on the import path, for `omada_device`."""
