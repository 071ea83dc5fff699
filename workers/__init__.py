"""The workers: they take jobs, answer them, and let nothing get lost on the way."""
