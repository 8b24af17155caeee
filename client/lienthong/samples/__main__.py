"""Writes sample documents to a directory: `python -m lienthong.samples --seed 1 --count 10 --out DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from lienthong.samples.broken import KINDS
from lienthong.samples.facilities import BY_CODE
from lienthong.samples.generator import Generator


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the documents and name each file; unsigned, one episode a file."""
    parser = argparse.ArgumentParser(prog="python -m lienthong.samples", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--spec", choices=("4750", "3176"), default="3176")
    parser.add_argument("--facility", choices=sorted(BY_CODE), help="default: any of the sample's")
    parser.add_argument("--refer-to", choices=sorted(BY_CODE), help="add a referral paper (XML13)")
    parser.add_argument("--follow-up", action="store_true", help="add a follow-up slip (XML14)")
    parser.add_argument("--without-identifier", action="store_true", help="leave out citizen number, card and phone")
    parser.add_argument("--ended", type=datetime.fromisoformat, help="end of the episodes, such as 2025-11-20T15:30")
    parser.add_argument("--broken", choices=KINDS, help="write documents broken in this way instead")
    options = parser.parse_args(arguments)
    generator = Generator(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(1, options.count + 1):
        if options.broken:
            path, content = options.out / f"{options.broken}-{number:04d}.xml", generator.broken(options.broken)
        else:
            episode = generator.episode(
                facility=options.facility,
                spec=options.spec,
                referral_to=options.refer_to,
                follow_up=options.follow_up,
                with_identifier=not options.without_identifier,
                ended=options.ended,
            )
            path, content = options.out / f"{episode.document_id.replace('/', '-')}.xml", episode.content
        path.write_bytes(content)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
