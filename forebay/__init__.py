"""Forebay: an asynchronous request broker for LLMs, driven by message queues."""
