"""The duties, a file each."""
