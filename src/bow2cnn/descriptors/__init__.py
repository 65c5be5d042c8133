"""From photos to descriptors with a network."""
