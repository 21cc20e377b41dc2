-- Each agent: runs, failures, runs stopped by a person, tokens, times, when it was last heard of.
SELECT
  agent,
  count(*) AS runs,
  {count_if:status = 'failed'} AS failures,
  {count_if:status = 'cancelled'} AS cancelled,
  CAST(coalesce(sum(tokens), 0) AS BIGINT) AS tokens,
  avg(duration_ms) AS avg_ms,
  {quantile:duration_ms|0.95} AS p95_ms,
  max(at_ms) AS last_at_ms
FROM agents
WHERE at_ms >= $since AND at_ms < $until
GROUP BY agent
ORDER BY runs DESC, agent
