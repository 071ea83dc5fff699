"""From settings to adapters: the only module that names them."""
