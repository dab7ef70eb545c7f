"""Cells: the equations of one time step, one family a file."""
