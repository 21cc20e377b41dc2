"""Many attempts: interleaved, within limits, resumable."""
