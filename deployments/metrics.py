"""The metrics of the service, through `ray.serve.metrics`; docs/operations.md lists them."""

from ray.serve.metrics import Counter, Gauge, Histogram

SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]


class IngressMetrics:
    """What one ingress replica counts."""

    def __init__(self) -> None:
        """Register the metrics; Serve adds application, deployment and replica as tags."""
        self._photos = Counter("whale_vision_photos", "Photos answered, by outcome.", ("outcome",))
        self._bytes = Counter("whale_vision_received_bytes", "Bytes received from clients, text and binary.")
        self._in_flight = Gauge("whale_vision_photos_in_flight", "Photos queued or running on this replica.")
        self._connections = Gauge("whale_vision_connections", "Open WebSockets on this replica.")

    def photo_answered(self, outcome: str) -> None:
        """Count one photo; `outcome` is "ok" or an error code."""
        self._photos.inc(1, {"outcome": outcome})

    def received(self, size_bytes: int) -> None:
        """Count bytes of one message."""
        if size_bytes:
            self._bytes.inc(size_bytes)

    def in_flight(self, photos: int) -> None:
        """Set the number of photos queued or running."""
        self._in_flight.set(photos)

    def connections(self, sockets: int) -> None:
        """Set the number of open sockets."""
        self._connections.set(sockets)


class StageMetric:
    """Seconds of one stage of the pipeline."""

    def __init__(self, stage: str) -> None:
        """Register the histogram.

        Args:
            stage: for example "segment"; a tag of the metric.
        """
        self._seconds = Histogram("whale_vision_stage_seconds", "Seconds of one call of a stage.", SECONDS, ("stage",))
        self._stage = stage

    def observe(self, seconds: float) -> None:
        """Record one call."""
        self._seconds.observe(seconds, {"stage": self._stage})
