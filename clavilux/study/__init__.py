"""Listening studies: a page that works offline is made from songs, answered in a browser, and its results are read."""
