"""Analytics: counts how orders end, minute by minute."""

from collections import defaultdict
from datetime import UTC, datetime

from app.delivery.batches import Batches
from app.main import delivery
from models import events
from models.analytics import Placed
from tables.analytics import count_news


@delivery.stage(events.AnalyticsEvent, awaited=False)
async def analytics(batches: Batches) -> None:
    """Count each end once, in the minute in which it came about."""
    async for batch in batches:
        news: defaultdict[int, list[Placed]] = defaultdict(list)
        async for partition, event in batch:
            if (offset := batch.offset) is not None:
                news[partition].append(Placed(offset, event))
        for partition, placed in news.items():
            count_news(batch, partition, placed, datetime.now(UTC))
