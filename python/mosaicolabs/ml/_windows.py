"""The rows of topics, window by window."""

import logging
from collections.abc import Iterator

from mosaicolabs.ml._topic_rows import TopicRows
from mosaicolabs.ml._wide_table import Merged

logger = logging.getLogger(__name__)

_MANY = 1000


def windows(topics: list[TopicRows], start_ns: int, end_ns: int, step_ns: int) -> Iterator[Merged]:
    """The rows in `[start_ns + k * step_ns, start_ns + (k + 1) * step_ns)`.

    The last one ends at `end_ns`. Windows without rows are included if later ones have rows, except in
    gaps of more than 1000 windows, which are passed over: a clock that was set late would give billions.
    """
    warned = False
    while start_ns < end_ns:
        edge_ns = min(start_ns + step_ns, end_ns)
        tables = [topic.until(edge_ns) for topic in topics]
        if not any(table.num_rows for table in tables):
            times = [time for topic in topics if (time := topic.next_time()) is not None and time < end_ns]
            if not times:
                return
            empty = (min(times) - start_ns) // step_ns
            if empty > _MANY:
                if not warned:
                    warned = True
                    logger.warning(
                        "%d windows from %d ns on have no rows and give no frames; check the times of the "
                        "earlier rows, widen the windows, or start at %d ns",
                        empty,
                        start_ns,
                        min(times),
                    )
                start_ns += empty * step_ns
                continue
        yield Merged(tables)
        start_ns = edge_ns
