"""Measures of the painter, and the music of our own that they are taken on."""
