"""The scheduler: what must happen at its time though nobody asks for it."""
