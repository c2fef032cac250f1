"""What nodes do to the outside. Empty so far: the kinds that run act through models and forms."""
