"""What predictions hold for: checks of a study's header and spacing, and of how much its picture is like the training data."""
