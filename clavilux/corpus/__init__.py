"""The training corpus: public pictures and music, with source, artist, licence and split of each file.

table.py       the shipped tables of sources, and the table of a corpus that was built
split.py       assign files to training, validation and held-out by artist
programs.py    run git, apt-get and dpkg-deb
fetch.py       read files from git repositories and Debian packages
pictures.py    decode a picture and compute its size and perceptual hash
recordings.py  decode a recording and compute its length and fingerprint
state.py       measurements of an earlier build, kept on disk
store.py       fetch, measure and store all files
duplicates.py  find near duplicates across sources
build.py       run all steps and write the table
summary.py     count files by source, licence and split
match.py       match the rows of a table with the files of a folder
"""

from clavilux.corpus.summary import summarise
from clavilux.corpus.table import CorpusRow, load_table

__all__ = ["CorpusRow", "load_table", "summarise"]
