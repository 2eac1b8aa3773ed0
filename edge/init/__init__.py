"""`borderflow init`: from nothing to a configuration that `check` calls good: answers → devices that answer → file."""
