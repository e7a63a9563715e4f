"""The corpus: public pictures and music, where they are, whose they are, and on which side of the split.

table.py       the shipped tables of sources, and the table of a corpus that was built
split.py       training, validation, held-out
fetch.py       files out of git repositories and Debian packages
pictures.py    does a picture decode, how large is it, what are its near duplicates
recordings.py  the same for music
duplicates.py  near duplicates across sources
build.py       all of it in order
summary.py     counts for the model card
"""

from clavilux.corpus.summary import summarise
from clavilux.corpus.table import CorpusRow, load_table

__all__ = ["CorpusRow", "load_table", "summarise"]
