"""From settings to adapters: the only package that names them. A URL's scheme chooses the adapter."""
