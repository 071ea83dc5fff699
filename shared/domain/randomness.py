"""Randomness enters the rules as a parameter of these types, so that a test can choose the outcome."""

from collections.abc import Callable

Uniform = Callable[[float, float], float]
"""Takes a low and a high bound, gives a number between them."""

RandomBits = Callable[[int], int]
"""Takes a number of bits, gives that many random bits as an integer."""
