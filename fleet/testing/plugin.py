"""The pytest plugin that comes with fleet, for driver authors."""
