"""What becomes of a test that needs Docker where there is none."""

import pytest

from tests.support.docker_engine import require_docker


@pytest.mark.parametrize("environment", [{}, {"CI": "true"}])
def test_with_an_engine_the_test_runs(environment: dict[str, str]) -> None:
    """Where an engine answers, nothing stands in the way."""
    require_docker(is_available=True, environment=environment)


@pytest.mark.parametrize("environment", [{}, {"CI": "true", "DOCKER_OK": "0"}])
def test_without_an_engine_the_test_is_skipped(environment: dict[str, str]) -> None:
    """A developer needs no Docker, nor does a CI that says it cannot have it."""
    with pytest.raises(pytest.skip.Exception):
        require_docker(is_available=False, environment=environment)


@pytest.mark.parametrize("environment", [{"CI": "true"}, {"CI": "true", "DOCKER_OK": "1"}])
def test_without_an_engine_in_ci_the_test_fails(environment: dict[str, str]) -> None:
    """CI cannot pass because Docker is missing by accident."""
    with pytest.raises(pytest.fail.Exception, match="DOCKER_OK=0"):
        require_docker(is_available=False, environment=environment)
