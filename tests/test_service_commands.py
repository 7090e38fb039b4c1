"""The commands of whoever runs the service: keys are made, listed and ended, and serve listens where it may."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from neurorecall import build_application

APPLICATION = build_application()


def run(*words: object) -> tuple[int, str, str]:
    answer = CliRunner().invoke(APPLICATION, [str(word) for word in words])
    return answer.exit_code, answer.stdout, answer.stderr


def test_a_key_is_shown_once_listed_without_it_and_ended(tmp_path: Path) -> None:
    status, out, said = run("key", "add", "ward-7", "--role", "curator", "--days", 30, "--data", tmp_path)
    assert status == 0
    key = out.strip()
    assert key.startswith("nr_")
    assert "ward-7 (curator)" in said
    secret = key[12:]
    status, out, _ = run("key", "list", "--data", tmp_path)
    assert (status, "curator" in out, "valid" in out, secret in out) == (0, True, True, False)
    document = json.loads(run("key", "list", "--data", tmp_path, "--json")[1])
    assert [(one["name"], one["role"], one["state"]) for one in document["keys"]] == [("ward-7", "curator", "valid")]
    assert set(document["keys"][0]) == {"id", "name", "role", "created", "expires", "state"}
    assert run("key", "revoke", "ward-7", "--data", tmp_path)[0] == 0
    assert "revoked" in run("key", "list", "--data", tmp_path)[1]
    status, _, said = run("key", "revoke", "ward-7", "--data", tmp_path)
    assert (status, "no valid key" in said) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("key", "add", "a/b"), "name of 1 to 60"),
        (("key", "add", "a", "--role", "king"), "Expected reader, curator or admin"),
        (("key", "add", "a", "--days", "0"), "Expected 1 to 3650 days"),
        (("key", "revoke", "nobody"), "no valid key"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    status, out, error = run(*words, "--data", tmp_path)
    assert (status, out, said in error) == (1 if words[1] == "revoke" else 2, "", True)
    document = json.loads(run(*words, "--data", tmp_path, "--json")[1])
    assert said in document["message"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104
def test_another_address_than_loopback_needs_a_sign_in(tmp_path: Path, host: str) -> None:
    status, _, said = run("serve", "--host", host, "--data", tmp_path)
    assert status == 2
    assert "neurorecall key add" in said


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_text("", "utf-8")
    status, _, said = run("serve", "--tls-certificate", chain, "--data", tmp_path)
    assert (status, "together" in said) == (2, True)


@pytest.mark.slow
def test_a_protected_server_is_reached_over_tls(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    api_key = run("key", "add", "a", "--data", tmp_path / "data")[1].strip()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "neurorecall", "serve", "--port", str(port), "--data", str(tmp_path / "data")]
    command += ["--tls-certificate", str(chain), "--tls-key", str(key)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as server:
        try:
            trusted = ssl.create_default_context(cafile=str(chain))
            with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted, trust_env=False) as client:
                wait_for(client, server)
                assert client.get("/api/status").status_code == 401
                answer = client.get("/api/status", headers={"Authorization": f"Bearer {api_key}"})
                assert answer.json()["code"] == "index_missing" or answer.status_code == 503
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        finally:
            server.terminate()


def wait_for(client: httpx.Client, server: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while True:
        assert server.poll() is None, server.stderr and server.stderr.read()
        try:
            client.get("/healthz").raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < until
            time.sleep(0.2)
        else:
            return


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private
