"""Training: a visible loop on Lightning Fabric."""
