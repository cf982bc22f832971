#!/usr/bin/env python3
"""A country database of real size: the one that POSTERN_GEO_DB names, or with --fetch the package's of PACKAGE (CC0).

    POSTERN_GEO_DB=country.mmdb geo_size.py build/release/geo_size_run
    geo_size.py build/release/geo_size_run --fetch"""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

from suite import skip

PACKAGE = "@ip-location-db/geo-whois-asn-country-mmdb"
SECONDS, OCTETS = 120, 100 << 20


def fetch(folder):
    """The database of the package, or None when it cannot be had."""
    if shutil.which("npm") is None:
        return None
    try:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, timeout=SECONDS, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    archive, = pathlib.Path(folder).glob("*.tgz")
    with tarfile.open(archive) as files:
        found = [file for file in files if file.name.endswith(".mmdb") and file.isfile() and file.size <= OCTETS]
        if not found:
            return None
        path = pathlib.Path(folder, "country.mmdb")
        path.write_bytes(files.extractfile(max(found, key=lambda file: file.size)).read())
    return path


def measure(program, path):
    words = subprocess.run([program, path], check=True, capture_output=True, text=True, timeout=SECONDS).stdout.split()
    rate, before, after, found, nowhere, broken, countries, unplaced = map(int, words)
    print("%s: %d octets, %d lookups/s of CPU time, RSS %d KB before, %d KB after; of a million addresses %d found, %d nowhere, "
          "%d broken; %d countries, %d answers without a continent"
          % (os.path.basename(path), os.path.getsize(path), rate, before, after, found, nowhere, broken, countries, unplaced))
    ok = broken == 0 and found > 100000 and countries > 150 and unplaced == 0
    print("%d passed, %d failed, 0 skipped" % (ok, not ok))
    return 0 if ok else 1


def main():
    path = os.environ.get("POSTERN_GEO_DB")
    if path is None and "--fetch" not in sys.argv:
        skip("no POSTERN_GEO_DB")
    with tempfile.TemporaryDirectory() as folder:
        path = path or fetch(folder)
        if path is None:
            skip(PACKAGE + " cannot be fetched")
        return measure(sys.argv[1], path)


if __name__ == "__main__":
    sys.exit(main())
