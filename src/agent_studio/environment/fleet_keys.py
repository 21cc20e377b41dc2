"""The configuration keys of the fleet, as rows: name, form, default, what, choices, least, most."""

from __future__ import annotations

from typing import Any

FLEET: tuple[tuple[str, str, Any, str, tuple[str, ...], float | None, float | None], ...] = (
    ("fleet.engine", "string", None, "The shared engine: postgresql://HOST/DB, clickhouse://HOST/DB, chdb:///DIR.",
     (), None, None),
    ("fleet.ingest", "string", None, "Where records are shipped in place of the engine: nats://HOST[,HOST].",
     (), None, None),
    ("fleet.ship", "boolean", True, "Whether serve ships what is recorded to the engine or the stream that is set.",
     (), None, None),
    ("fleet.streamMegabytes", "integer", 1_024, "What the stream holds at most; when it is full, machines wait.",
     (), 1, 1_000_000),
    ("fleet.project", "string", None, "The project's name in the fleet; else its folder's.", (), None, None),
    ("fleet.machine", "string", None, "This machine's name in the fleet; else a number drawn once.", (), None, None),
    ("fleet.texts", "string", "shapes", "Texts of errors that leave the machine; shapes are without values.",
     ("none", "shapes", "full"), None, None),
    ("fleet.batchRecords", "integer", 5_000, "Records in a batch at most.", (), 1, 100_000),
    ("fleet.intervalSeconds", "number", 10, "Time between two looks at the journals.", (), 0.1, 3_600),
    ("fleet.retentionDays", "integer", 90, "Days that the engine keeps records.", (), 1, 3_650),
    ("fleet.tls.ca", "string", None, "File with the authority that signs the engine's certificate.", (), None, None),
    ("fleet.tls.certificate", "string", None, "File with this machine's own certificate.", (), None, None),
    ("fleet.tls.key", "string", None, "File with its key.", (), None, None),
)  # fmt: skip
