"""Tables and logs on their way to a network: read, typed, split, checked for leaks, encoded."""
