"""What one task alone needs, from transforms to reports."""
