"""What measures: on stacks, microscopes, formats, known shapes and damaged files, into docs/results."""
