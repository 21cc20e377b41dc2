-- How many machines sent records of a release in an environment.
SELECT count(DISTINCT machine) AS machines
FROM (
  SELECT machine FROM agent_studio.hooks
  WHERE project = $project AND environment = $environment AND release = $release
    AND at_ms >= $since AND at_ms < $until
  UNION ALL
  SELECT machine FROM agent_studio.sessions
  WHERE project = $project AND environment = $environment AND release = $release
    AND at_ms >= $since AND at_ms < $until
) AS told
