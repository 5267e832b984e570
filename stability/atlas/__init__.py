"""The accuracy of every derivative that JAX ships: public functions, by order, way, format and mode, as a table."""
