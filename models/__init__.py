"""The domain, pure: events, commands, the order saga, the stock keeper, the payment."""
