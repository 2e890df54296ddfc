"""Sources of chunks: capture files for now."""
