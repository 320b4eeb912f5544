"""Metrics of a daemon."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.daemon import Daemon


class Counts:
    """The metrics of one moment, as a standard parser reads them."""

    def __init__(self, daemon: Daemon) -> None:
        status, text = daemon.ask("/metrics")
        assert status == 200
        families = list(text_string_to_metric_families(text))
        self.names = {family.name for family in families}
        assert all(family.documentation for family in families)
        self.samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum over all samples of that name that have these labels."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        return sum(found)
