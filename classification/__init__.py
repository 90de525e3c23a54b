"""Is it there? A timm classifier."""
