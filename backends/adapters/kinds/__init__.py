"""What adapters of libraries share, by how a library differentiates and what arrays it has."""
