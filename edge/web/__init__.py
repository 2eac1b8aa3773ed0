"""What every page of the project shares: serving with bounds, and a guard against a hostile network."""
