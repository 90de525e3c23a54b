"""Generated chest radiographs: anatomy, pneumothorax, devices, acquisition."""
