"""What a release consists of: its files, their manifest, the hash that names them, and the store of their bytes."""
