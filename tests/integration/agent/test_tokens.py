"""Access tokens by client certificate, from a real TLS server."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lienthong.agent.tokens import ClientCredentials, TokenRefused

from deploy.local.pki import Pki


class Endpoint(ThreadingHTTPServer):
    """Answers what it is told to; keeps the forms and the certificates' addresses."""

    def __init__(self, pki: Pki) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server = pki.server("localhost")
        context.load_cert_chain(server.certificate, server.private_key)
        context.load_verify_locations(pki.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.answer: tuple[int, bytes] = (200, b'{"access_token": "t1", "expires_in": 600}')
        self.forms: list[dict[str, list[str]]] = []
        self.callers: list[str] = []

    def handle_error(self, *_: object) -> None:
        """A caller without certificate is refused by TLS itself."""


class Handler(BaseHTTPRequestHandler):
    server: Endpoint
    connection: ssl.SSLSocket

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.forms.append(urllib.parse.parse_qs(body.decode()))
        certificate = self.connection.getpeercert() or {}
        self.server.callers.append(str(certificate["subjectAltName"][0][1]))
        status, answer = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def endpoint(pki: Pki) -> Iterator[Endpoint]:
    server = Endpoint(pki)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def credentials(
    pki: Pki, endpoint: Endpoint, *, monotonic: Callable[[], float] = lambda: 0.0, licence: str = "", role: str = ""
) -> ClientCredentials:
    pair = pki.facility("01001")
    return ClientCredentials(
        f"https://localhost:{endpoint.server_port}/token",
        authority=pki.authority,
        certificate=pair.certificate,
        private_key=pair.private_key,
        licence=licence,
        role=role,
        monotonic=monotonic,
    )


def test_a_token_is_kept_until_a_minute_before_its_end(pki: Pki, endpoint: Endpoint) -> None:
    now = [0.0]
    tokens = credentials(pki, endpoint, monotonic=lambda: now[0])
    assert (tokens(), tokens()) == ("t1", "t1")
    now[0] = 539.9
    assert tokens() == "t1"
    assert endpoint.forms == [{"grant_type": ["client_credentials"]}]
    assert endpoint.callers == ["spiffe://lienthong.vn/facility/01001"]
    endpoint.answer = (200, b'{"access_token": "t2", "expires_in": 30}')
    now[0] = 540.0
    assert tokens() == "t2"
    now[0] = 541.0
    tokens()
    assert len(endpoint.forms) == 3


def test_a_practitioner_is_named(pki: Pki, endpoint: Endpoint) -> None:
    credentials(pki, endpoint, licence="CCHN-1")()
    credentials(pki, endpoint, licence="CCHN-1", role="nurse")()
    assert [(form["licence"], form["role"]) for form in endpoint.forms] == [
        (["CCHN-1"], ["doctor"]),
        (["CCHN-1"], ["nurse"]),
    ]


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (401, b'{"error": "invalid_client"}', "answered 401"),
        (200, b"not JSON", "JSONDecodeError"),
        (200, b"[]", "TypeError"),
        (200, b'{"access_token": "secret-token"}', "KeyError"),
        (200, b'{"access_token": "secret-token", "expires_in": "soon"}', "ValueError"),
        (200, b'{"access_token": "' + b"x" * 70_000, "JSONDecodeError"),
    ],
)
def test_refusals_have_one_clear_text(pki: Pki, endpoint: Endpoint, status: int, body: bytes, text: str) -> None:
    endpoint.answer = (status, body)
    with pytest.raises(TokenRefused, match=text) as caught:
        credentials(pki, endpoint)()
    assert "secret-token" not in str(caught.value)
    endpoint.answer = (200, json.dumps({"access_token": "t", "expires_in": 60}).encode())
    assert credentials(pki, endpoint)() == "t"


def test_another_authority_is_not_believed(pki: Pki, endpoint: Endpoint, tmp_path: Path) -> None:
    pair = pki.facility("01001")
    other = Pki(tmp_path)
    tokens = ClientCredentials(
        f"https://localhost:{endpoint.server_port}/token",
        authority=other.authority,
        certificate=pair.certificate,
        private_key=pair.private_key,
    )
    with pytest.raises(TokenRefused, match="token endpoint: URLError"):
        tokens()
    with pytest.raises(TokenRefused, match="https"):
        ClientCredentials(
            "http://x", authority=pki.authority, certificate=pair.certificate, private_key=pair.private_key
        )
