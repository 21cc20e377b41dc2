-- The records of one kind and environment: a view of queries.
SELECT at_ms{columns}
FROM {table}{once}
WHERE project = $project AND environment = $environment{window}
