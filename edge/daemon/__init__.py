"""The running computer: what a configuration makes, begins and ends as tasks, and takes anew while it runs."""
