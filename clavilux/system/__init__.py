"""Files, processes, threads and memory: what every command needs from the machine."""
