"""Listening studies: make a page of songs and pictures that works offline, and read the results that visitors save."""
