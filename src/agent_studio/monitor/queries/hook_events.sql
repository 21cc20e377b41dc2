-- Hooks by event and tool: calls, failures, blocked runs, times.
SELECT
  event,
  tool,
  count(*) AS calls,
  {count_if:status IN ('failure', 'timeout')} AS failures,
  {count_if:status = 'blocked'} AS blocked,
  CAST({count_if:status IN ('failure', 'timeout')} AS DOUBLE PRECISION) / count(*) AS failure_rate,
  {quantile:duration_ms|0.5} AS p50_ms,
  {quantile:duration_ms|0.95} AS p95_ms,
  {quantile:duration_ms|0.99} AS p99_ms
FROM hooks
WHERE at_ms >= $since AND at_ms < $until
GROUP BY event, tool
ORDER BY calls DESC, event, tool
