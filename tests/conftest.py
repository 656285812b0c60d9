"""Its place puts `tests/` on the import path, for the small shared modules of the tests."""
