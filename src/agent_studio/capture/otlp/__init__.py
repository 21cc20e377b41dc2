"""The receiver: OTLP over HTTP and http hooks, appended to the inbox before they are acknowledged."""
