"""Counts impostors that drawn calls catch: ``python -m tests.planted [--tier TIER] [--seed N]``."""

import argparse
import random
import sys
import time

from bce_conformance.conformance.tiers import TIERS, Tier

from .plants import Levels, Recorded, every, impostors, is_one
from .processes import catches, sampled

SAMPLE = 1_000  # triples
PROCESSES = 50  # impostors in processes of their own
MOST_MISSED = {"default": 0.05, "thorough": 0.0}  # of triples
LISTED = 20  # of those that walk through


def main() -> int:
    """Count and print; 1 where one of a pair walks through, or too many of triples."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the run, and of the triples that are tried"
    )
    parser.add_argument(
        "--tier", choices=MOST_MISSED, default="default", help="whose calls are drawn"
    )
    given = parser.parse_args()
    begin = time.monotonic()
    tier = TIERS[given.tier]
    recorded = Recorded(tier, given.seed)
    print(
        f"{len(recorded.planned):,} drawn calls of the {tier.name} tier, seed {given.seed}",
        flush=True,
    )
    triples = random.Random(given.seed).sample(every(3), SAMPLE)
    pairs_missed = count("pairs", every(2), recorded)
    triples_missed = count("triples", triples, recorded)
    processes_missed = count_processes(tier, given.seed)
    print(f"{time.monotonic() - begin:.0f} s")
    missed = pairs_missed > 0 or processes_missed > 0
    return int(missed or triples_missed > MOST_MISSED[tier.name] * SAMPLE)


def count_processes(tier: Tier, seed: int) -> int:
    """Print how many impostors in processes of their own are caught, and how many are not."""
    chosen = sampled(PROCESSES, seed)
    through = [one for one in chosen if not catches(one, tier.call_strengths[False][-1], seed)]
    print(f"in processes: {len(chosen) - len(through)} of {len(chosen)} caught", flush=True)
    for one in through:
        print(f"  walks through: {one}")
    return len(through)


def count(name: str, levels: list[Levels], recorded: Recorded) -> int:
    """Print how many impostors are caught; returns how many walk through."""
    chosen = impostors(levels)
    unseen = [one for one in chosen if not recorded.catches(one)]
    through = [one for one in unseen if is_one(one, recorded.store)]
    tried = len(chosen) - len(unseen) + len(through)
    none = len(unseen) - len(through)
    print(f"{name}: {tried - len(through):,} of {tried:,} caught", end="", flush=True)
    print(f" ({none} are none: all that they may get wrong is NaN)" if none else "")
    for one in through[:LISTED]:
        print(f"  walks through: {one}")
    return len(through)


if __name__ == "__main__":
    sys.exit(main())
