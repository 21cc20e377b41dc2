"""Our records as OpenTelemetry signals, sent to any collector over OTLP/HTTP."""
