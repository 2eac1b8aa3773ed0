"""The commands of `borderflow`: each file has `add_arguments` and `run`, found by `edge.cli`."""
