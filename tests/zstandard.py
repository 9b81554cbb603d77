"""The zstd of the standard library, or of its backport for older Pythons."""

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import CompressionParameter, ZstdCompressor, ZstdFile
else:
    from backports.zstd import CompressionParameter, ZstdCompressor, ZstdFile

__all__ = ["CompressionParameter", "ZstdCompressor", "ZstdFile"]
