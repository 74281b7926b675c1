"""The scenarios: every module here is one (see `bench.scenario.Scenario`)."""
