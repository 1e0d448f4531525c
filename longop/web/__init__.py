"""See the map in `longop`."""
