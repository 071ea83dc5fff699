"""The demonstration: a real batch, through the real stack, to a simulated provider with real limits."""
