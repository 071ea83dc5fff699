"""The couriers carry results to those who asked to be told."""
