-- How many lines of a kind of journal are no records, from a moment on or of nobody knows when.
SELECT count(*) AS damaged
FROM agent_studio.damage{once}
WHERE project = $project AND environment = $environment AND kind = $kind AND (at_ms >= $since OR at_ms = 0)
