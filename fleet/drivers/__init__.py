"""The drivers that fleet ships: one module or package per vendor, and nothing else in it."""
