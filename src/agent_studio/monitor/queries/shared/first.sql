-- When the first response of an environment was.
SELECT min(at_ms) AS first_ms FROM agent_studio.usage WHERE project = $project AND environment = $environment
