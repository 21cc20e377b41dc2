"""Language models behind one small protocol, whatever library or program answers."""
