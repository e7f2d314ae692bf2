"""What bench/relay measures and measures with."""
