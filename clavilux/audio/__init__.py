"""Sound: a file is decoded, measured and described; the result is a `Song`."""
