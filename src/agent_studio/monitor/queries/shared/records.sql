-- The records of one kind from a moment on, in order of time; those of one moment by machine.
SELECT at_ms, release, synthetic{columns}
FROM {table}{once}
WHERE project = $project AND environment = $environment AND at_ms >= $since
ORDER BY at_ms, machine, id
