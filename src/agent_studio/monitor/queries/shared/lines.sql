-- Lines that are no records, of all journals: a view of queries.
SELECT CAST(NULL AS BIGINT) AS at_ms, nullif(at_ms, 0) AS near_ms
FROM agent_studio.damage{once}
WHERE project = $project AND environment = $environment AND kind IN ('hooks', 'agents', 'errors', 'sessions')
