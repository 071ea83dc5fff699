"""The formats that other programs see: messages, requests, configuration."""
