"""Where is it? A U-Net and its relatives."""
