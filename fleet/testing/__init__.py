"""Shipped for driver authors: simulators, contract suite, transcript replay."""
