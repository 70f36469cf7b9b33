"""How several processes share a task; two real ones are in test/cli/test_evaluate.py."""

import pytest

from proxia_segmentation_ros.apps.evaluate.process_group import ProcessGroup, join_process_group


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [0, 1, 4, 7])
def test_every_number_is_one_processs_in_order(count: int, total: int) -> None:
    shares = [list(ProcessGroup(rank, count).split_indices(total)) for rank in range(count)]
    assert sorted(number for share in shares for number in share) == list(range(total))
    assert all(share == sorted(share) for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_torchrun_one_process_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_process_group() as group:
        assert (group.rank, group.count, group.gather_others) == (0, 1, None)
