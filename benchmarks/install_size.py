"""Measure the disk space of a core installation (`pip install .` in a new environment).

    python benchmarks/install_size.py            with the newest releases
    python benchmarks/install_size.py --pinned   with the versions of constraints.txt

Prints the size of every distribution with its byte code. The exit code is 1 if the sum without pip is larger than
`LIMIT_MB`. Needs a package index, so it is not part of the test suite.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

LIMIT_MB = 320
ROOT = Path(__file__).parent.parent

# Runs in the new environment: size in bytes of every distribution, from the list of its files that pip keeps.
MEASURE = """
import importlib.metadata, json
sizes = {}
for dist in importlib.metadata.distributions():
    files = {dist.locate_file(file).resolve() for file in dist.files}
    sizes[dist.name] = sum(file.stat().st_size for file in files if file.exists())
print(json.dumps(sizes))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pinned", action="store_true", help="install the versions of constraints.txt")
    pins = ["-c", str(ROOT / "constraints.txt")] if parser.parse_args().pinned else []
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pins, str(ROOT)], check=True)
        measured = subprocess.run([python, "-c", MEASURE], check=True, cwd=folder, capture_output=True, text=True)
    sizes = json.loads(measured.stdout)
    tools_mb = sum(sizes.pop(tool, 0) for tool in ("pip", "setuptools")) / 1e6
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / 1e6:8.1f} MB  {name}")
    total_mb = sum(sizes.values()) / 1e6
    print(f"{total_mb:8.1f} MB  core install on Python {sys.version.split()[0]}; limit {LIMIT_MB}")
    print(f"{tools_mb:8.1f} MB  pip and setuptools, which every new environment has")
    return int(total_mb > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
