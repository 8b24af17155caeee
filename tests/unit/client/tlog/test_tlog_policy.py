"""Trust files: the grammar of tlog-policy, quorums, and the promise keys beside it."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.tlog.checkpoint import Cosigner
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import PolicyInvalid, TrustPolicy, load_policy

LOG = NoteSigner.generate("log.lienthong.vn/2026").verifier_key
LOG_LINE = f"log {LOG.encode()}"
PROMISE = NoteSigner.generate("lienthong.vn/receipt-promise").verifier_key
KEYS = [Cosigner(f"w{number}", Ed25519PrivateKey.generate()).verifier_key for number in range(5)]
WITNESSES = "".join(f"witness {key.name} {key.encode()}\n" for key in KEYS)


def test_a_policy_of_logs_and_promise_keys_round_trips() -> None:
    policy = TrustPolicy(logs=(LOG,), promise_keys=(PROMISE,))
    assert load_policy(policy.encode()) == policy
    assert policy.satisfied(set())


def test_comments_blank_lines_and_addresses_are_allowed() -> None:
    head = f"# a comment\n\n \t\n\t {LOG_LINE} https://log.lienthong.vn/ \n  #\n"
    text = head + f"#!promise {PROMISE.encode()}\nquorum none\n"
    assert load_policy(text) == TrustPolicy(logs=(LOG,), promise_keys=(PROMISE,))


def test_a_quorum_of_two_levels() -> None:
    text = WITNESSES + "group X 2 w0 w1 w2\ngroup Y any w3 w4\ngroup both all X Y\nquorum both\n"
    policy = load_policy(text)
    assert policy.satisfied({KEYS[0], KEYS[2], KEYS[4]})
    assert not policy.satisfied({KEYS[0], KEYS[4]})
    assert not policy.satisfied({KEYS[0], KEYS[1], KEYS[2]})
    assert load_policy(policy.encode()) == policy


def test_a_single_witness_as_quorum() -> None:
    policy = load_policy(WITNESSES + "quorum w3\n")
    assert policy.satisfied({KEYS[3]})
    assert not policy.satisfied(set(KEYS) - {KEYS[3]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOG_LINE,
        "quorum none\nquorum none",
        "quorum w0",
        WITNESSES + "quorum X\ngroup X any w0",
        WITNESSES + "group X any X\nquorum X",
        WITNESSES + "group X 0 w0\nquorum X",
        WITNESSES + "group X 2 w0\nquorum X",
        WITNESSES + "group X 01 w0\nquorum X",
        WITNESSES + "group X some w0\nquorum X",
        WITNESSES + "group X all\nquorum X",
        WITNESSES + "group X all none\nquorum X",
        WITNESSES + "group none all w0\nquorum none",
        WITNESSES + "group w0 all w1\nquorum none",
        WITNESSES + "group X 1 w0 w0\nquorum X",
        WITNESSES + "group X 1 w0\ngroup Y 1 w0\nquorum X",
        f"{LOG_LINE}\n{LOG_LINE}\nquorum none",
        f"log {KEYS[0].encode()}\nquorum none",
        f"witness w {LOG.encode()}\nquorum none",
        f"witness a {KEYS[0].encode()}\nwitness b {KEYS[0].encode()}\nquorum none",
        f"#!promise {KEYS[0].encode()}\nquorum none",
        f"#!promised {PROMISE.encode()}\nquorum none",
        "#! promise\nquorum none",
        f"{LOG_LINE} a b\nquorum none",
        f"logs {LOG.encode()}\nquorum none",
        f"log {LOG.encode()[:-2]}\nquorum none",
        "quorum none\r\n",
        "quorum none\x00",
        "quorum none a",
    ],
    # The texts hold fresh keys; test processes must still agree on the names of the tests.
    ids=(str(number) for number in itertools.count()),
)
def test_wrong_policies(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        load_policy(text)


@given(st.text())
def test_any_text_loads_or_is_refused(text: str) -> None:
    with contextlib.suppress(PolicyInvalid):
        load_policy(text + "\nquorum none")


def test_the_addresses_of_witnesses_are_kept() -> None:
    text = f"witness a {KEYS[0].encode()} https://witness.example/a\nwitness b {KEYS[1].encode()}\nquorum a\n"
    policy = load_policy(text)
    assert policy.witness_urls == {"a": "https://witness.example/a"}
    assert policy.encode() == text
    with pytest.raises(PolicyInvalid):
        load_policy(text.replace("/a\n", "/a more\n"))
