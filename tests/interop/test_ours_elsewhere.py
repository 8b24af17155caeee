"""What the agent signs holds for tools that share no code with us: OpenSSL and xmlsec1."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.client.batch import make_batch
from lienthong.samples.generator import Generator

from deploy.local.pki import Pki, SigningPair
from tests.fixtures.debian import openssl, xmlsec1

FACILITY = "01001"
KINDS = ("rsa", "p256")


@pytest.fixture(scope="module")
def pairs(pki: Pki) -> dict[str, SigningPair]:
    return {kind: pki.signer(FACILITY, algorithm=kind, label=f"interop-{kind}") for kind in KINDS}


@pytest.fixture(scope="module")
def chain(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root and issuing authority, PEM, together and each by itself."""
    path = tmp_path_factory.mktemp("chain") / "chain.pem"
    root, issuer = (one.certificate.public_bytes(Encoding.PEM) for one in (pki.signing_root, pki.signing_authority))
    path.write_bytes(root + issuer)
    path.with_name("root.pem").write_bytes(root)
    path.with_name("issuer.pem").write_bytes(issuer)
    return path


def signer(pair: SigningPair) -> Pkcs12Signer:
    return Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_xmlsec1_verifies_the_envelope(pairs: dict[str, SigningPair], chain: Path, tmp_path: Path, kind: str) -> None:
    episode = Generator(7).episode(facility=FACILITY).content
    path = tmp_path / "episode.xml"
    command = [xmlsec1(), "--verify", "--enabled-key-data", "x509", "--trusted-pem", str(chain.with_name("root.pem"))]
    command += ["--untrusted-pem", str(chain.with_name("issuer.pem")), str(path)]
    path.write_bytes(sign_envelope(episode, signer(pairs[kind])))
    done = run(*command)
    assert done.returncode == 0, done.stderr
    path.write_bytes(path.read_bytes().replace(b"<NGAYLAP>2", b"<NGAYLAP>1", 1))
    assert run(*command).returncode != 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["document", "manifest"])
def test_openssl_verifies_the_detached_signature(
    pairs: dict[str, SigningPair], chain: Path, tmp_path: Path, kind: str, what: str
) -> None:
    contents: dict[str, Callable[[], bytes]] = {
        "document": lambda: Generator(7).episode(facility=FACILITY).content,
        "manifest": lambda: make_batch(FACILITY, [b"one", b"two"])[0].encode().encode(),
    }
    content = contents[what]()
    (tmp_path / "content").write_bytes(content)
    (tmp_path / "signature").write_bytes(sign_detached(content, signer(pairs[kind])))
    command = [openssl(), "cms", "-verify", "-binary", "-inform", "DER", "-in", str(tmp_path / "signature")]
    # OpenSSL 3.0 knows the purposes of mail and servers, not that of RFC 9336.
    command += ["-content", str(tmp_path / "content"), "-CAfile", str(chain), "-purpose", "any", "-cades"]
    command += ["-out", str(tmp_path / "out")]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == content
    (tmp_path / "content").write_bytes(content + b" ")
    assert run(*command).returncode != 0
