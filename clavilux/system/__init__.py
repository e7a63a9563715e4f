"""Files, tables, arguments, processes, threads and memory: the tools that all other packages use."""
