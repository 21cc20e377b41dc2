"""From the inbox and the transcripts to typed records, each event once, whatever crashes in between."""
