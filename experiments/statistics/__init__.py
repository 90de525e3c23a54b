"""Bootstrap intervals, exact threshold search, nested scores."""
