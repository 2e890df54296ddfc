"""What changes batches before the stages see them, one a file."""
