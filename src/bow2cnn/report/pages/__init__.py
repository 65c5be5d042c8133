"""A page for every 3D model, and an overview of all clusters."""
