"""Counts impostors that the drawn calls catch: ``python -m tests.planted [--seed N]``."""

import argparse
import random
import sys
import time

from bce_conformance.conformance.tiers import TIERS

from .plants import Recorded, every, impostors

SAMPLE = 1_000  # triples


def main() -> int:
    """Count, print, and end with 1 where the goal of issue and specification is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", default="default", choices=list(TIERS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    begin = time.monotonic()
    recorded = Recorded(TIERS[given.tier].call_strength[0], given.seed)
    print(f"{len(recorded.calls):,} calls of tier {given.tier}, seed {given.seed}", flush=True)
    triples = random.Random(given.seed).sample(every(3), SAMPLE)
    missed = 0
    for name, levels in (("pairs", every(2)), ("triples", triples)):
        chosen = impostors(levels)
        through = [one for one in chosen if not recorded.catches(one)]
        print(f"{name}: {len(chosen) - len(through):,} of {len(chosen):,} caught", flush=True)
        print(
            "\n".join(f"  walks through: {one}" for one in through[:20]), end="\n" * bool(through)
        )
        missed += len(through)
    print(f"{time.monotonic() - begin:.0f} s")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
