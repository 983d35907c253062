"""The first and the last task of the checksums example; those between are the script checksums_share.sh."""

import os

SHARES = 4


def list_files(directory, output=None):
    """Deals the files below a folder out to four lists, and returns the folder that holds the lists.

    Paths in the lists end with a zero byte, since a file name may hold anything else.
    """
    if not os.path.isdir(directory):
        raise NotADirectoryError(f"{directory!r} is no folder")
    output = output or directory.rstrip("/") + ".checksums"
    os.makedirs(output, exist_ok=True)
    files = sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names
    )
    for share in range(SHARES):
        with open(os.path.join(output, f"share-{share}.list"), "wb") as file:
            file.writelines(os.fsencode(path) + b"\0" for path in files[share::SHARES])
    return output


def write_manifest(**shares):
    """Puts the checksums of all shares into one file, sorted by path, and returns its text."""
    paths = [path.rstrip("\n") for path in shares.values()]
    lines = []
    for path in paths:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines += file
    # A line is the checksum, two characters, and the path.
    lines.sort(key=lambda line: line[66:])
    manifest = os.path.join(os.path.dirname(paths[0]), "manifest.sha256")
    with open(manifest, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(lines)
    for path in paths:
        os.remove(path)
        os.remove(path[: -len("sha256")] + "list")
    return "".join(lines)
