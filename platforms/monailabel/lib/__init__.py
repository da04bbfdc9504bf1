"""What this app decides by itself, without MONAI Label."""
