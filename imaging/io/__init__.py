"""Files and settings: atomic writes, tables, streamed arrays, threads, YAML with validation."""
