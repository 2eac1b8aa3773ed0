"""What this system says in other languages: the same keys in each language."""
