"""The loss for JAX."""
