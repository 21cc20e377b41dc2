-- Hooks and agents that stopped reporting while others go on: silent for three times their usual gap, 10 minutes at least.
WITH seen AS (
  SELECT 'hook' AS kind, hook AS name, at_ms FROM hooks WHERE at_ms >= $since AND at_ms < $until
  UNION ALL
  SELECT 'agent', agent, at_ms FROM agents WHERE at_ms >= $since AND at_ms < $until
),
gaps AS (
  SELECT kind, name, at_ms, at_ms - lag(at_ms) OVER (PARTITION BY kind, name ORDER BY at_ms) AS gap_ms FROM seen
),
heard AS (
  SELECT max(at_ms) AS newest_ms FROM seen
),
usual AS (
  SELECT kind, name, max(at_ms) AS last_at_ms, {quantile:gap_ms|0.95} AS usual_gap_ms, count(*) AS seen
  FROM gaps
  GROUP BY kind, name
)
SELECT kind, name, last_at_ms, usual_gap_ms, newest_ms - last_at_ms AS silent_ms
FROM usual, heard
WHERE seen >= 10 AND newest_ms - last_at_ms > 3 * usual_gap_ms AND newest_ms - last_at_ms >= 600000
ORDER BY silent_ms DESC, kind, name
