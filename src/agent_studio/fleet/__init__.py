"""Many machines, one engine: journals are shipped to it, and dashboards, reports, alerts and gates read from it."""
