"""What makes a release: its weights, the images they are trained on, and the picture of its worst cases."""
