"""From messages to collectors: outbox, journal, publishers, MQTT, pseudonyms, evidence."""
