"""A run asked with any photo: from a file to a ranking, a table and a picture."""
