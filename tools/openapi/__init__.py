"""The generator of the OpenAPI description that the sandbox serves."""
