"""Why a server cannot be reached, in words."""

import os

import aiohttp


def why_unreachable(error: Exception) -> str:
    """Give the reason, to stand after a colon."""
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "that is not a URL such as http://127.0.0.1:8080"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno) if error.os_error.errno else "it cannot be connected to"
    return str(error) or "it did not answer in time"
