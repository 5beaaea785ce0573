"""Speed, floating point operations and memory of configs."""
