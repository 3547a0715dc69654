"""The page that is made from the samples."""

import re

from benchmarks.report import render
from benchmarks.results import Sample


def sample(
    measure: str,
    contender: str,
    figures: dict[str, float],
    *,
    left_out: str | None = None,
    others_cpu: float = 0.03,
) -> Sample:
    """A sample as the suite keeps it."""
    return Sample(
        measure=measure,
        contender=contender,
        run="2026-11-24T20:00:00+00:00",
        commit="abc1234",
        machine="2 cores",
        versions={"celery": "5.7.0"} if contender == "celery" else {"Python": "3.11.7"},
        others_cpu=others_cpu,
        figures=figures,
        left_out=left_out,
    )


def test_the_page_judges_and_names_what_it_stands_on() -> None:
    """Ratio and verdict, commit and machine, versions, and what others took."""
    page = render(
        [
            sample("create-64", "fastapi", {"per_second": 5_500}),
            sample("create-64", "taskmill", {"per_second": 4_950}),
        ]
    )
    assert re.search(r"empty FastAPI endpoint \| ≥ 0.8 \| ≥ 1 \| \*\*0.90\*\* \| 4,950 \| 5,500 \| must met \|", page)
    assert "Commit abc1234, on 2 cores." in page
    assert "Python 3.11.7" in page
    assert "| others' CPU | 3% | 3% |" in page


def test_a_peer_below_its_reference_is_named_as_mis_set() -> None:
    """References are scaled by the empty endpoint: half of its speed there makes half of theirs enough here."""
    empty = sample("create-64", "fastapi", {"per_second": 5_500})
    slow, quick = (sample("process-64", "celery", {"per_second": value}) for value in (470.0, 490.0))
    assert "Celery + Redis in `process-64`: 470 tasks/s, 78% of its reference (600): **mis-set**." in render(
        [empty, slow]
    )
    assert "82% of its reference (600): as it should be." in render([empty, quick])


def test_a_peer_that_cannot_be_had_is_named() -> None:
    """It is left out, with the reason, and the line it belongs to is not measured."""
    page = render([sample("process-64", "celery", {}, left_out="redis-server is not installed")])
    assert "**Left out: celery.** redis-server is not installed." in page
    assert re.search(r"÷ Celery \+ Redis \| ≥ 3.5 \| ≥ 4 \|  \|  \|  \| not measured \|", page)


def test_a_disturbed_measure_is_named() -> None:
    """The most that others took stands beside the measure; a quiet one is not mentioned."""
    samples = [sample("create-64", "taskmill", {"per_second": 1.0}, others_cpu=part) for part in (0.4, 0.6, 0.02)]
    page = render([*samples, sample("idle", "taskmill", {}, others_cpu=0.1)])
    assert "during samples of `create-64` 60%." in page


def test_each_setting_of_a_peer_has_its_page() -> None:
    """Without any result the page still says how peers are set, and where that is recommended."""
    page = render([])
    assert "`worker_prefetch_multiplier` 128" in page
    assert page.count("([documentation](https://") >= 8


def test_what_operating_costs_is_told_beside_what_it_does_as_it_comes() -> None:
    """Each target that was measured both ways, judged as it is operated; without such samples there is no section."""
    samples = [
        sample("create-64", "fastapi", {"per_second": 5_000}),
        sample("create-64", "taskmill", {"per_second": 5_000}),
        sample("process-64", "taskmill", {"cpu_us": 400}),
    ]
    assert "keys and metrics" not in render(samples)
    samples += [
        sample("create-64", "taskmill, operated", {"per_second": 3_500}),
        sample("process-64", "taskmill, operated", {"cpu_us": 450}),
    ]
    section = render(samples).partition("## With keys and metrics")[2].partition("## Measure again")[0]
    assert re.search(r"empty FastAPI endpoint \| ≥ 0.8 \| 1.00 \| 0.70 \| missed \|", section)
    assert section.count("| ≥ ") + section.count("| ≤ ") == 1
    assert "costs 400 µs and 450 µs of CPU" in section
