"""Several minds on one question, and methods on one draft: models propose, code decides."""
