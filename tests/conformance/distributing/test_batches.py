"""The cells of a run, as they are handed out to workers."""

from itertools import product

from bce_conformance.conformance.distributing.batches import Batches
from bce_conformance.results.cells import Place

REQUIREMENTS = ("VAL-1", "ANY-1", "VAL-2", "ANY-2", *(f"RED-{number}" for number in range(40)))
PLACES = [
    Place(*place)
    for place in product(REQUIREMENTS, ("native", "torch"), ("cpu", "cuda"), ("float16", "float32"))
]


def handed_out(batches: Batches, *addresses: str) -> list[tuple[str, tuple[Place, ...]]]:
    """All batches, as workers take them in turns."""
    found = []
    while True:
        for address in addresses:
            batch = batches.next(address, len(addresses))
            if batch is None:
                return found
            found.append((address, batch))


def test_each_cell_is_handed_out_once_and_batches_become_smaller() -> None:
    found = [batch for _, batch in handed_out(Batches(PLACES), "one", "two")]
    assert sorted(place for batch in found for place in batch) == sorted(PLACES)
    assert all(len({place.backend for place in batch}) == 1 for batch in found)
    sizes = [len(batch) for batch in found if not batch[0].requirement.startswith("ANY-")]
    assert sizes[:4] == [16] * 4
    assert sizes[-1] == 1


def test_a_survey_is_one_batch_in_order_and_goes_first() -> None:
    found = [batch for _, batch in handed_out(Batches(PLACES), "one", "two")]
    surveys = [batch for batch in found if batch[0].requirement.startswith("ANY-")]
    assert surveys == found[:4]
    assert len({(place.backend, place.device) for (place, *_) in surveys}) == 4
    for batch in surveys:
        ((backend, device),) = {(place.backend, place.device) for place in batch}
        mine = [place for place in PLACES if place[1:3] == (backend, device)]
        assert list(batch) == [place for place in mine if place.requirement.startswith("ANY-")]


def test_a_worker_keeps_to_its_backend_while_there_is_something_left_of_it() -> None:
    batches = Batches(PLACES)
    batches.is_at("one", "torch")
    found = handed_out(batches, "one", "two")
    mine = [batch[0].backend for address, batch in found if address == "one"]
    assert mine == sorted(mine, reverse=True)  # torch, then native
    others = [batch[0].backend for address, batch in found if address == "two"]
    assert others[0] == "native"


def test_without_cells_nothing_is_handed_out() -> None:
    assert Batches([]).next("one", 1) is None
