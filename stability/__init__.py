"""Where a gradient loses its digits, to the float."""
