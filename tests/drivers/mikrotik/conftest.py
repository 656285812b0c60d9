"""Its place puts this folder on the import path, for `mikrotik_rows` and `mikrotik_device`."""
