"""The pictures, a module each; what they share begins with `_`."""
