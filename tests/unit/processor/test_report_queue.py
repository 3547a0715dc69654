"""Reports wait in order, the newest under each key."""

from taskmill.processor.domain.report_queue import QueuedReport, ReportQueue


def test_reports_are_cut_in_order() -> None:
    """What was put first is sent first."""
    queue = ReportQueue()
    for text in (b"a", b"b", b"c"):
        queue.put(text, QueuedReport(text))
    assert [report.text for report in queue.cut()] == [b"a", b"b", b"c"]
    assert (len(queue), queue.size_bytes, queue.cut()) == (0, 0, [])


def test_a_newer_report_takes_the_place_of_the_older() -> None:
    """Under one key only the newest is sent, where the first stood."""
    queue = ReportQueue()
    queue.put("x", QueuedReport(b"old"))
    queue.put("y", QueuedReport(b"other"))
    queue.put("x", QueuedReport(b"newer"))
    assert queue.size_bytes == 10
    assert [report.text for report in queue.cut()] == [b"newer", b"other"]


def test_a_report_can_be_taken_back() -> None:
    """As long as it waits; afterwards nothing happens."""
    queue = ReportQueue()
    queue.put("x", QueuedReport(b"abc"))
    queue.discard("x")
    queue.discard("x")
    assert (len(queue), queue.size_bytes) == (0, 0)


def test_a_cut_takes_what_fits() -> None:
    """Large reports are left for the next bundles, in order, and at least one is taken."""
    queue = ReportQueue()
    for number in range(5):
        queue.put(number, QueuedReport(b"%d" % number + b"x" * 300_000))
    cuts = []
    while reports := queue.cut():
        cuts.append([report.text[:1] for report in reports])
    assert cuts == [[b"0", b"1"], [b"2", b"3"], [b"4"]]
    assert queue.size_bytes == 0
