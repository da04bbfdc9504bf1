"""Work side by side gives what work one after the other gives, in order, within the threads that there are."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from stored import stored, whole

from bundle.errors import is_out_of_memory
from bundle.networks import CascadeEnsemble
from bundle.segmentation import Windows, WithDisagreement
from bundle.segmentation.side_by_side import THREADS, both, side_by_side
from bundle.volumes import HERE, StoredVolume, hysteresis, remove_fragments


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def of_new_threads() -> int:
    """How many threads PyTorch has in a thread that begins now: as many as any thread was given last."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_results_come_in_order_and_an_error_where_it_was_made(threads):
    def compute(item: int) -> int:
        time.sleep(0.02 * (item % 3))
        if item == 4:
            raise ValueError("the fourth")
        return item**2

    given = []
    for item, result in side_by_side(iter(range(9)), compute, lambda item: 1 + item % threads):
        if item == 4:
            with pytest.raises(ValueError, match="the fourth"):
                result()
        else:
            assert result() == item**2
        given.append(item)
    assert given == list(range(9))


@pytest.mark.parametrize("left", [False, True], ids=["to the end", "left early"])
def test_afterwards_all_threads_have_the_number_of_before(threads, left):
    """Here, where nobody has changed it, and where work begins later, which would go on with what an item had."""
    for _, result in side_by_side([threads, 1, 1], lambda _: torch.get_num_threads(), lambda wanted: wanted):
        result()
        if left:
            break
    assert torch.get_num_threads() == of_new_threads() == threads


def test_no_more_threads_are_taken_than_there_are(threads):
    lock, taken, most = threading.Lock(), 0, 0

    def compute(item: int) -> int:
        nonlocal taken, most
        mine = torch.get_num_threads()
        with lock:
            taken += mine
            most = max(most, taken)
        time.sleep(0.01)
        with lock:
            taken -= mine
        return mine

    wanted = [1, threads, 1, 1, 2, threads, 1]
    found = [result() for _, result in side_by_side(wanted, compute, lambda item: item)]
    assert most <= threads
    # who asks for all is alone, and its two cascades share them
    alone = -(-threads // 2)
    assert found == [alone if want >= threads > 1 else min(want, threads) for want in wanted]


def test_an_image_has_its_threads_whatever_was_computed_before(threads):
    """And one that asks for all is alone, so that memory holds one large image at a time."""
    cpu, lock, running, overlaps = torch.device("cpu"), threading.Lock(), [], []

    def compute(side: int) -> int:
        with lock:
            overlaps.extend((side, other) for other in running)
            running.append(side)
        time.sleep(0.01)
        with lock:
            running.remove(side)
        return torch.get_num_threads()

    sides = [256] * 4 + [3000] * 3 + [1500] * 4
    found = [
        result() for _, result in side_by_side(sides, compute, lambda side: Windows().threads((side, side), 1.0, cpu))
    ]
    assert not any(3000 in pair for pair in overlaps)
    half = -(-threads // 2)
    assert found == [1] * 4 + [half] * 3 + [half] * 4


def test_items_are_computed_at_the_same_time_and_gradients_are_off():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    meeting = threading.Barrier(2, timeout=20)  # the first may take a second thread for its other cascade
    try:
        found = [
            result()
            for _, result in side_by_side(range(6), lambda _: (meeting.wait(), torch.is_grad_enabled()), lambda _: 1)
        ]
        assert not any(enabled for _, enabled in found)
    finally:
        torch.set_num_threads(before)


def test_both_are_called_at_the_same_time_where_threads_are_idle(threads):
    meeting = threading.Barrier(2)

    def meets() -> bool:
        try:
            meeting.wait(20 if threads > 1 else 0.05)
        except threading.BrokenBarrierError:
            return False
        return not torch.is_inference_mode_enabled() and not torch.is_grad_enabled()

    with torch.no_grad():
        assert both(meets, meets) == ((True, True) if threads > 1 else (False, False))
    assert torch.get_num_threads() == of_new_threads() == threads
    with pytest.raises(ValueError, match="second"):
        both(lambda: 1, lambda: int("second"))
    assert torch.get_num_threads() == of_new_threads() == threads


def test_both_are_called_in_turn_where_memory_has_no_room_for_a_thread(threads, monkeypatch):
    """On as many threads as at the same time, so that they find the same."""

    def no_room(count: int = 1) -> None:
        raise MemoryError

    def here() -> tuple[int, int]:
        return threading.get_ident(), torch.get_num_threads()

    monkeypatch.setattr("bundle.segmentation.side_by_side.check_threads_fit", no_room)
    assert both(here, here) == ((threading.get_ident(), -(-threads // 2)),) * 2
    with pytest.raises(ValueError, match="second") as caught:
        both(here, lambda: int("second"))
    assert not is_out_of_memory(caught.value)  # which it would seem, raised while the lack is handled
    assert torch.get_num_threads() == of_new_threads() == threads


def test_the_network_finds_the_same_to_the_bit_one_image_at_a_time_and_side_by_side():
    """Of a last slice that a killed run left over as of all slices."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.manual_seed(0)
        network = WithDisagreement(CascadeEnsemble(1, (8, 16, 4), dbac_scale=1.0, dbac_norm="instance")).eval()
        images = [torch.rand(1, 1, 64, 80) for _ in range(4)]
        threads = Windows().threads((64, 80), 1.0, torch.device("cpu"))
        assert threads == 1
        together = [result() for _, result in side_by_side(images, network, lambda _: threads)]
        with torch.inference_mode():
            assert all(map(torch.equal, together, map(network, images)))
    finally:
        torch.set_num_threads(before)


def test_images_share_the_threads_by_their_size_alone(threads):
    cpu, inferer = torch.device("cpu"), Windows()
    assert inferer.threads((512, 512), 1.0, cpu) == 1
    assert inferer.threads((6000, 6000), 1.0, cpu) == threads
    assert inferer.threads((1500, 1500), 1.0, cpu) == -(-threads // min(threads, 2))
    assert inferer.threads((1500, 1500), 2.0, cpu) == threads
    assert inferer.threads((512, 512), 1.0, torch.device("cuda")) == threads


@pytest.mark.parametrize("depth", [1, 40, 150])
def test_threads_as_workers_make_the_mask_that_one_makes(threads, depth, tmp_path):
    rng = np.random.default_rng(depth)
    probability = stored(tmp_path / "p", gaussian_filter(rng.random((depth, 20, 17)), 1).astype(np.float32), 9)
    low, high = np.quantile(whole(probability), [0.6, 0.98])
    made = []
    for name, workers in (("one", HERE), ("threads", THREADS)):
        mask, large = (StoredVolume(tmp_path / name / kind, probability.shape, bool, 9) for kind in ("mask", "large"))
        hysteresis(probability, low, high, mask, tmp_path / name / "forth", workers)
        remove_fragments(mask, 12, large, tmp_path / name / "back", workers)
        made.append(whole(large))
    slabs = THREADS.slabs(depth)
    assert [z for slab in slabs for z in range(*slab)] == list(range(depth))
    assert max(stop - start for start, stop in slabs) <= 64
    np.testing.assert_array_equal(*made)
    assert 0 < made[0].mean() < 1
