"""What driver authors test with: the contract suite, transcript replay, simulators and a demo fleet. Shipped with fleet."""
