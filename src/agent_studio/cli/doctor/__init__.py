"""Parts of `doctor` that have options of their own."""
