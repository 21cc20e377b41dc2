-- Hooks and agents that stopped while others go on: for three times their usual gap, 10 minutes at least.
WITH minutes AS (
  SELECT 'hook' AS kind, hook AS name, {floor_to:at_ms|60000} AS minute_ms, max(at_ms) AS last_ms
  FROM hooks WHERE at_ms >= $since AND at_ms < $until GROUP BY hook, {floor_to:at_ms|60000}
  UNION ALL
  SELECT 'agent', agent, {floor_to:at_ms|60000}, max(at_ms)
  FROM agents WHERE at_ms >= $since AND at_ms < $until GROUP BY agent, {floor_to:at_ms|60000}
),
gaps AS (
  SELECT
    kind, name, last_ms, minute_ms - lag({nullable:minute_ms}) OVER (PARTITION BY kind, name ORDER BY minute_ms) AS gap_ms
  FROM minutes
),
heard AS (
  SELECT max(last_ms) AS newest_ms FROM minutes
),
usual AS (
  SELECT kind, name, max(last_ms) AS last_at_ms, {quantile:gap_ms|0.95} AS usual_gap_ms, count(*) AS active_minutes
  FROM gaps
  GROUP BY kind, name
)
SELECT kind, name, last_at_ms, usual_gap_ms, newest_ms - last_at_ms AS silent_ms
FROM usual, heard
WHERE active_minutes >= 10 AND newest_ms - last_at_ms > 3 * usual_gap_ms AND newest_ms - last_at_ms >= 600000
ORDER BY silent_ms DESC, kind, name
