"""Parts of bench/backlog."""
