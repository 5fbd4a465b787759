"""Ways into other libraries' engines: one module a library, the only one that knows it."""
