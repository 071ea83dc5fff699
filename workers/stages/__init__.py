"""The stages of the worker's pipeline, a file each."""
