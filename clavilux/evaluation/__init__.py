"""Evaluation of a bundle on music and art that it was not trained on, and a synthesizer of test signals."""
