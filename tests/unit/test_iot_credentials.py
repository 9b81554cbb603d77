"""docs/iot_credentials.py: a device's certificate becomes credentials of boto3, which asks again before they expire."""

import datetime as dt
import http.server
import json
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SCRIPT = Path(__file__).parents[2] / "docs" / "iot_credentials.py"
PATH = "/role-aliases/windrow-producer/credentials"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for `localhost`, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "device.pem", folder / "device.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class Provider(http.server.ThreadingHTTPServer):
    """The credential provider: it demands a certificate, and gives credentials that soon expire."""

    def __init__(self, pem: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.lives = dt.timedelta(minutes=5)  # less than what boto3 wants to have left
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pem))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(pem, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def endpoint(self) -> str:
        return f"localhost:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        thing = self.headers["x-amzn-iot-thingname"]
        self.server.asked.append((self.path, thing))
        number = len(self.server.asked)
        expiration = (dt.datetime.now(dt.UTC) + self.server.lives).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = {"accessKeyId": f"AKIA{number}", "secretAccessKey": "s", "sessionToken": "t", "expiration": expiration}
        is_known = thing == "gateway-7"
        self.send_response(200 if is_known else 403)
        self.end_headers()
        self.wfile.write(json.dumps({"credentials": found} if is_known else {"message": "Access Denied"}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


@pytest.fixture
def device(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path)


@pytest.fixture
def provider(device: tuple[Path, Path]) -> Iterator[Provider]:
    with Provider(*device) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def session(folder: Path, provider: Provider, device: tuple[Path, Path], thing: str) -> botocore.session.Session:
    """boto's session of a device whose configuration is the script's own text, filled in."""
    command = f"{sys.executable} {SCRIPT} {provider.endpoint} windrow-producer {thing} {device[0]} {device[1]}"
    (folder / "config").write_text(f"[default]\ncredential_process = {command}\n")
    return botocore.session.Session()


@pytest.fixture(autouse=True)
def _only_the_device(tmp_path: Path, device: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_FILE", str(device[0]))  # whom the script trusts


@pytest.mark.slow
def test_a_certificate_becomes_credentials_that_are_renewed(
    tmp_path: Path, provider: Provider, device: tuple[Path, Path]
) -> None:
    """The request names alias and thing; what expires within minutes is asked for anew at the next use."""
    found = session(tmp_path, provider, device, "gateway-7").get_credentials()
    assert found is not None
    first = found.get_frozen_credentials()
    assert (first.secret_key, first.token) == ("s", "t")
    assert provider.asked[0] == (PATH, "gateway-7")
    second = found.get_frozen_credentials()
    assert second.access_key != first.access_key


@pytest.mark.slow
def test_a_thing_that_is_refused_is_told(tmp_path: Path, provider: Provider, device: tuple[Path, Path]) -> None:
    """The error says who refused whom."""
    with pytest.raises(Exception, match=r"refuses gateway-8: 403 .*Access Denied"):
        session(tmp_path, provider, device, "gateway-8").get_credentials()
