import pytest
from pydantic import ValidationError

from taskmill.runtime.request_bundles import read_traceparents
from taskmill.runtime.settings import TracingSettings
from taskmill.runtime.tracing import current, current_traceparent, is_tracing, start_child, start_span, traced


def test_nothing_is_traced_unless_an_endpoint_is_set() -> None:
    """And nothing breaks."""
    with traced("gateway", TracingSettings(otlp_endpoint=None)):
        assert not is_tracing()
        assert start_span("name", "server", None) is None
        assert start_child("name", "client") is None
        with current(None):
            assert current_traceparent() is None


def test_the_standard_variable_is_understood_and_ours_beats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for NATS and PostgreSQL; what is no URL of HTTP is refused, without being repeated."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318")
    assert TracingSettings().otlp_endpoint == "http://standard:4318"
    monkeypatch.setenv("TASKMILL_OTLP_ENDPOINT", "https://user:secret@ours")
    assert TracingSettings().otlp_endpoint == "https://user:secret@ours"
    assert "secret" not in repr(TracingSettings())
    with pytest.raises(ValidationError) as refused:
        TracingSettings(otlp_endpoint="grpc://user:secret@ours")
    assert "secret" not in str(refused.value)


def test_the_traceparents_of_a_bundle_are_as_many_as_its_requests() -> None:
    """Where they are not, none counts: a request must not end in the trace of another."""
    headers = b"NATS/1.0\r\nTaskmill-Traceparents: a,,b\r\n\r\n"
    assert read_traceparents(headers, 3) == ["a", None, "b"]
    assert read_traceparents(headers, 2) == [None, None]
    assert read_traceparents(None, 2) == [None, None]
