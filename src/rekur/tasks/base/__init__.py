"""What every task shares: the contract, the fit driver, batches, saving, loading, announcements, rivals."""
