"""Large archives on Ray."""
