"""Waits that get longer each time they were in vain."""

from proxia_segmentation_ros.ros.client.backoff import LONGEST_S, Backoff


def count_waits(backoff, clock, seconds):
    """Return the seconds at which waiting was over."""
    over = []
    for _ in range(seconds):
        clock[0] += 1.0
        if backoff.has_elapsed():
            over.append(clock[0])
    return over


def test_waits_double_up_to_the_longest():
    clock = [0.0]
    over = count_waits(Backoff(4.0, lambda: clock[0]), clock, 299)
    lengths = [after - before for before, after in zip([0.0, *over], over, strict=False)]
    assert lengths == [4.0, 8.0, 16.0, 32.0, LONGEST_S, LONGEST_S, LONGEST_S]


def test_restart_begins_with_the_first_wait_again():
    clock = [0.0]
    backoff = Backoff(4.0, lambda: clock[0])
    assert count_waits(backoff, clock, 12) == [4.0, 12.0]
    backoff.restart()
    assert count_waits(backoff, clock, 13) == [16.0, 24.0]


def test_restart_in_the_middle_of_a_wait_lets_it_last_longer():
    clock = [0.0]
    backoff = Backoff(4.0, lambda: clock[0])
    count_waits(backoff, clock, 3)
    backoff.restart()
    assert count_waits(backoff, clock, 4) == [7.0]
