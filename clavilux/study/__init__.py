"""A listening study as a page that works offline: made from songs, answered in a browser, read from result files."""
