"""From sightings to `wait` and `flow` messages: matching, queues, intervals."""
