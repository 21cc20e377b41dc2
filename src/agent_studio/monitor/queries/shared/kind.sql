-- The records of one kind and environment: a view of queries. Engines push its reader's stretch of time down into it.
SELECT at_ms{columns}
FROM {table}{once}
WHERE project = $project AND environment = $environment
