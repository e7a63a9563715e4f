"""The training corpus: public pictures and music, with source, artist, licence and split of each file.

table.py       read the shipped tables of sources, and read and write the table of a corpus
split.py       assign all files of an artist to one split: training, validation or held-out
programs.py    run git, apt-get and dpkg-deb
fetch.py       read files from git repositories and Debian packages
pictures.py    decode a picture and compute its size and perceptual hash
recordings.py  decode a recording and compute its duration and fingerprint
state.py       keep the measurements of each file on disk
store.py       fetch, measure and store all files
duplicates.py  find near duplicates across sources
build.py       run all steps and write the table
summary.py     count files by source, licence and split
match.py       match the files of a folder with the rows of a table
"""

from clavilux.corpus.summary import summarise
from clavilux.corpus.table import CorpusRow, load_table

__all__ = ["CorpusRow", "load_table", "summarise"]
