"""A song in, an abstract picture out."""
