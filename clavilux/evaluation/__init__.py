"""Evaluation of a bundle on music and art that it was not trained on, and the synthesizer of its test signals."""
