"""TLS in front of a plain endpoint, for clients that speak nothing else; on request it swallows answers."""

import asyncio
import datetime
import random
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
PIECE_BYTES = 65_536


@contextmanager
def running(target_port: int, folder: Path, *, swallowed: float = 0.0, seed: int = 1) -> Iterator[int]:
    """Yield a port that speaks TLS and leads to `target_port`.

    Of the good answers the part `swallowed` (0 to 1) is lost, by ending the connection: what was asked for has been
    done, and who asked does not know. The certificate is made anew, for nobody in particular.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder))
    proxy = _Proxy(target_port, context, swallowed, random.Random(seed))
    thread = threading.Thread(target=asyncio.run, args=(proxy.serve(),), name="tls-proxy", daemon=True)
    thread.start()
    assert proxy.listens.wait(10), "the proxy does not listen"
    try:
        yield proxy.port
    finally:
        proxy.stop()
        thread.join(10)


class _Proxy:
    def __init__(self, target_port: int, context: ssl.SSLContext, swallowed: float, chance: random.Random) -> None:
        self.port = 0
        self.listens = threading.Event()
        self._target_port, self._context, self._swallowed, self._chance = target_port, context, swallowed, chance

    async def serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._connect, HOST, 0, ssl=self._context) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.listens.set()
            await self._stopped.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection(HOST, self._target_port)
        await asyncio.gather(
            self._pump(reader, target_writer, loses=False), self._pump(target_reader, writer, loses=True)
        )

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, loses: bool) -> None:
        try:
            while piece := await reader.read(PIECE_BYTES):
                if loses and piece.startswith(b"HTTP/1.1 200") and self._chance.random() < self._swallowed:
                    break
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            return  # either end has gone; the other end is told by the close
        finally:
            writer.close()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
