"""What measures: stacks, microscopes, formats, known shapes, phantoms, damaged files, killed runs."""
