"""What really happened, as lines, and what a system under test made of it, held against each other."""
