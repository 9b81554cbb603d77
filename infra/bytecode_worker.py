"""Compile Python sources to bytecode. Runs alone, by the Python whose bytecode is wanted: it imports nothing of ours.

    python3.13 -I bytecode_worker.py /var/task < sources.zip > bytecode.zip

Each file of the zip becomes one of the same name, for the folder that is named; what does not compile is left out, and
fails or not when it is imported. Bytecode is checked: it names the hash of its source, which the importing Python
compares, and neither time nor folder reaches its bytes.
"""

import importlib.util
import io
import marshal
import sys
import warnings
import zipfile

# Flags of PEP 552: named after the hash of its source, and to be checked against it.
_CHECKED_HASH = (0b11).to_bytes(4, "little")
_WITHOUT_REFERENCES = 2  # version of marshal


def bytecode(name: str, source: bytes) -> bytes:
    """Return the content of a .pyc: the magic number, the flags, the hash of the source, the code.

    Which objects marshal writes as references to others depends on who else in this process has them. So it is written
    without any, read, and written again: then no code depends on what was compiled before.
    """
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    alone = marshal.loads(marshal.dumps(code, _WITHOUT_REFERENCES))  # noqa: S302 - our own bytes
    return importlib.util.MAGIC_NUMBER + _CHECKED_HASH + importlib.util.source_hash(source) + marshal.dumps(alone)


def main() -> int:
    """Compile what stands in the zip at standard input."""
    folder = sys.argv[1]
    warnings.simplefilter("ignore")  # of sources that are not ours
    compiled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())) as sources, zipfile.ZipFile(compiled, "w") as target:
        for name in sources.namelist():
            try:
                body = bytecode(f"{folder}/{name}", sources.read(name))
            except (SyntaxError, ValueError):
                continue
            target.writestr(zipfile.ZipInfo(name), body)
    sys.stdout.buffer.write(compiled.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
