-- Hooks that failed or timed out, the most often failing first.
WITH counted AS (
  SELECT
    hook,
    count(*) AS calls,
    {count_if:status IN ('failure', 'timeout')} AS failures,
    CAST({count_if:status IN ('failure', 'timeout')} AS DOUBLE PRECISION) / count(*) AS failure_rate
  FROM hooks
  WHERE at_ms >= $since AND at_ms < $until
  GROUP BY hook
)
SELECT hook, calls, failures, failure_rate
FROM counted
WHERE failures > 0
ORDER BY failures DESC, failure_rate DESC, hook
LIMIT 100
